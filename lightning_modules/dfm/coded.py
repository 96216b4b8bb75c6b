"""A network of Fourier layers as the content of a file, and the image that a file holds, at any size.

The numbers of a file come back exactly, and the coefficients, multiples of a step, to the bit on every machine. Colours are
computed in float64 and rounded: where a value lies at a half, two machines may differ by one level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from generative.codec import entropy
from generative.codec.container import Header, overhead, packed, unpacked
from generative.codec.quantization import dequantized, quantized, step_of
from generative.inversion.memory import free_bytes
from generative.rendering.images import to_uint8
from lightning_modules.dfm.half_angle import half_angle_layer
from lightning_modules.dfm.networks import Shape, colours, pixel_positions

SPARE = 2  # bytes that the range coder may take beyond the probabilities
ROUNDING = 3e-4  # of its probabilities, in bits
AT_ONCE = 2**22  # numbers of a layer's features that decoding holds at a time


@dataclass(frozen=True)
class CodedImage:
    """An image as whole numbers: ``numbers`` [rows, outputs] a layer, times the step of its code, are its coefficients.

    ``pixels``: height and width of the image that they were fitted to.
    """

    shape: Shape
    pixels: tuple[int, int]
    steps: tuple[int, ...]
    numbers: tuple[np.ndarray, ...]

    @cached_property
    def scales(self) -> tuple[int, ...]:
        """The code of the table of probabilities that serves each layer best."""
        return tuple(entropy.best_code(matrix.ravel()) for matrix in self.numbers)

    @property
    def num_bytes(self) -> int:
        """What the file takes at most, by the probabilities, which is a byte or two more than it does take."""
        bits = sum(entropy.bits(matrix.ravel(), scale) for matrix, scale in zip(self.numbers, self.scales, strict=True))
        payload = int(bits / 8 * (1 + ROUNDING)) + SPARE
        return payload + overhead(self.shape.depth, payload)

    @property
    def content(self) -> bytes:
        """The file."""
        shape = self.shape
        header = Header(
            kernel=shape.kernel, residual=shape.residual, channels=shape.channels, pixels=self.pixels,
            width=shape.width, depth=shape.depth, steps=self.steps, scales=self.scales,
        )  # fmt: skip
        return packed(header, entropy.encode([matrix.ravel() for matrix in self.numbers], self.scales))

    def coefficients(self) -> list[Tensor]:
        """A matrix a layer, float32 [rows, outputs]."""
        return [
            torch.from_numpy(dequantized(matrix, step_of(code)))
            for matrix, code in zip(self.numbers, self.steps, strict=True)
        ]

    def image(self, size: tuple[int, int] | None = None) -> Tensor:
        """uint8 [C, height, width] of ``size`` (height, width), or as large as what was fitted.

        A network has period 1, and pixel i of n stands at i / n: twice the size has all pixels of the size and, between each
        two, what the network says there.
        """
        height, width = size or self.pixels
        points = pixel_positions(height, width)
        coefficients = [matrix.double() for matrix in self.coefficients()]
        parts = [
            colours(part, coefficients, self.shape, half_angle_layer)
            for part in points.split(points_at_once(self.shape))
        ]
        return to_uint8(torch.cat(parts)).T.unflatten(1, (height, width)).contiguous()


def rounded(coefficients: Sequence[Tensor], shape: Shape, steps: Sequence[int], pixels: tuple[int, int]) -> CodedImage:
    """The nearest numbers of these step codes to ``coefficients`` [rows, outputs] a layer.

    A ``full`` layer's sine of k = 0 is 0 for every point, and so is the number that multiplies it.
    """
    numbers = []
    for matrix, code in zip(coefficients, steps, strict=True):
        found = quantized(matrix.detach().cpu().numpy(), step_of(code))
        if shape.kernel == "full":
            found[len(found) // 2] = 0
        numbers.append(found)
    return CodedImage(shape=shape, pixels=pixels, steps=tuple(steps), numbers=tuple(numbers))


def read_coded(content: bytes, name: str) -> CodedImage:
    """What :attr:`CodedImage.content` was made of; ValueError, which names the file, where it is none, newer or damaged."""
    header, payload = unpacked(content, name)
    shape = Shape(
        width=header.width,
        depth=header.depth,
        channels=header.channels,
        kernel=header.kernel,
        residual=header.residual,
    )
    check_memory(shape)
    matrices = shape.matrices
    try:
        groups = entropy.decode(payload, [rows * outputs for rows, outputs in matrices], header.scales)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    numbers = tuple(values.reshape(matrix) for values, matrix in zip(groups, matrices, strict=True))
    return CodedImage(shape=shape, pixels=header.pixels, steps=header.steps, numbers=numbers)


def check_memory(shape: Shape) -> None:
    """ValueError for a network that is not decoded in the free memory, at the pixels that are taken at once."""
    needed = 40 * shape.num_coefficients + 32 * 2**shape.width * points_at_once(shape)
    free = free_bytes(torch.device("cpu"))
    if needed > free:
        raise ValueError(
            f"a network of width {shape.width} and depth {shape.depth} has layers of 2^{shape.width} features, more than "
            f"{free / 2**30:.1f} GiB of free memory hold"
        )


def points_at_once(shape: Shape) -> int:
    return max(1, AT_ONCE >> shape.width)
