"""The synthesis network of eq. 6.3, for autograd and, where gradients are off, in bounded memory."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.poly_inr.levels import (
    NEGATIVE_SLOPE,
    Activation,
    ModulatedLinear,
    activate_,
    at_positions,
    output_type,
)

# Pixels drawn together where gradients are off. On a processor two buffers of [1024, 1024] float32 stay near its caches
# (of 256 to 4,096 within 2 % of the fastest at 64 x 64 and 128 x 128); a GPU wants to be filled: an image of 256 x 256.
PIXELS_AT_ONCE = {"cpu": 2**10, "other": 2**16}


class Synthesis(nn.Module):
    """Eq. 6.3: affine parameters [B, levels, 3, n] and positions [P, 2] -> colours [B, P, channels].

    ``modulation_slope`` is the slope of the leaky ReLU on the modulation of the levels above 0 (1: none,
    as in the text) and ``activation_slope`` that of the levels' own; with both at 1 and no clamp the
    output is a polynomial of total degree ``levels`` in the position. ``recompute``: the backward pass computes
    modulations and activations again instead of keeping them, for less memory; it has no second derivatives.
    """

    def __init__(
        self,
        *,
        num_levels: int,
        width: int,
        image_channels: int,
        modulation_slope: float,
        clamp: float | None,
        activation_slope: float = NEGATIVE_SLOPE,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Linear(width, width) for _ in range(num_levels))
        self.to_image = nn.Linear(width, image_channels)
        self.modulation_slope = modulation_slope
        self.activation_slope = activation_slope
        self.clamp = clamp
        self.recompute = recompute
        self.compiled = False

    def forward(self, affine: Tensor, positions: Tensor) -> Tensor:
        # A hook on a level is shown all the pixels.
        if torch.is_grad_enabled() or any(level._forward_hooks for level in self.levels):
            return self.colours(affine, homogeneous(positions))
        return self.draw(affine, positions)

    def colours(self, affine: Tensor, x: Tensor) -> Tensor:
        """The formula, at X = (row, column, 1) [P, 3]."""
        # Level 0 is linear before its activation, so W_0 (A_0 X) = (W_0 A_0) X: one [3, n] product, none a pixel.
        first, *later = self.linears
        h = self.activate(at_positions(x, affine[:, 0] @ first.weight.T) + first.bias)
        for i, level in enumerate(later, start=1):
            h = self.activate(self.modulated(level, h, x, affine[:, i]))
        return self.to_image(h)

    def activate(self, y: Tensor) -> Tensor:
        if self.recomputes:
            return Activation.apply(y, self.activation_slope, self.clamp)
        y = F.leaky_relu(y, self.activation_slope)
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)

    def modulated(self, level: nn.Linear, h: Tensor, x: Tensor, affine: Tensor) -> Tensor:
        """The level's linear layer on the features h [B, P, n] times the modulation of A_i [B, 3, n]."""
        if self.recomputes:
            weight, bias = (parameter.to(output_type(level.weight)) for parameter in (level.weight, level.bias))
            return ModulatedLinear.apply(h, x, affine, weight, bias, self.modulation_slope)
        return level(h * F.leaky_relu(at_positions(x, affine), self.modulation_slope))

    @property
    def linears(self) -> list[nn.Linear]:
        return cast("list[nn.Linear]", list(self.levels))

    @property
    def recomputes(self) -> bool:
        return self.recompute and torch.is_grad_enabled()

    def compile_drawing(self) -> float:
        """From now on full chunks of pixels are drawn by compiled code where gradients are off; the seconds it took."""
        from torch._dynamo.exc import BackendCompilerFailed

        started = time.perf_counter()
        weight, self.compiled = self.to_image.weight, True
        affine = weight.new_zeros(1, len(self.levels), 3, weight.shape[1], dtype=output_type(weight))
        try:
            with torch.no_grad():
                self.draw(affine, weight.new_zeros(pixels_at_once(weight.device), 2))
        except BackendCompilerFailed as error:
            self.compiled = False
            raise ValueError(
                f"torch.compile needs a working C++ compiler (g++, or what CXX names): {str(error).splitlines()[0]}; "
                "nothing else does: leave out compile=true"
            ) from error
        return time.perf_counter() - started

    def draw(self, affine: Tensor, positions: Tensor) -> Tensor:
        """:meth:`forward` without autograd, some pixels (and images, where they are small) at a time."""
        device, weight = affine.device, self.to_image.weight
        limit = pixels_at_once(device)
        num_pixels = max(1, min(limit, len(positions)))
        num_images = max(1, min(limit // num_pixels, len(affine)))
        # Channels first in memory, as images are.
        shape = (len(affine), len(weight), len(positions))
        drawn = torch.empty(shape, dtype=output_type(weight), device=device).transpose(1, 2)
        formula: Callable[[Tensor, Tensor], Tensor] = self.colours
        # Autocast gives each operation a type of its own, which an operation on a given buffer cannot have.
        if affine.dtype == positions.dtype == weight.dtype and not torch.is_autocast_enabled(device.type):
            buffers = affine.new_empty(2, num_images * num_pixels, weight.shape[1])
            formula = functools.partial(self.colours_in_place, buffers=buffers)
        # One shape is compiled, that of a full chunk of one image: a rest is not worth another compilation.
        of_full_chunks = functools.partial(compiled_colours(), self) if self.compiled else formula
        for images, rows in zip(affine.split(num_images), drawn.split(num_images), strict=True):
            for pixels, part in zip(positions.split(num_pixels), rows.split(num_pixels, dim=1), strict=True):
                full = len(images) == 1 and len(pixels) == limit
                part.copy_((of_full_chunks if full else formula)(images, homogeneous(pixels)))
        return drawn

    def colours_in_place(self, affine: Tensor, x: Tensor, *, buffers: Tensor) -> Tensor:
        """:meth:`colours` without autograd, at the places of two buffers [2, B * P or more, n]."""
        shape = (len(affine), len(x), buffers.shape[2])
        h, other = buffers[:, : shape[0] * shape[1]]
        x = x.expand(len(affine), -1, -1)
        first, *later = self.linears
        torch.baddbmm(first.bias, x, affine[:, 0] @ first.weight.T, out=h.view(shape))
        activate_(h, self.activation_slope, self.clamp)
        for i, level in enumerate(later, start=1):
            torch.bmm(x, affine[:, i], out=other.view(shape))
            if self.modulation_slope != 1:
                F.leaky_relu_(other, self.modulation_slope)
            h *= other
            torch.addmm(level.bias, h, level.weight.T, out=other)
            activate_(other, self.activation_slope, self.clamp)
            h, other = other, h
        return self.to_image(h).unflatten(0, shape[:2])


def pixels_at_once(device: torch.device) -> int:
    return PIXELS_AT_ONCE.get(device.type, PIXELS_AT_ONCE["other"])


def homogeneous(positions: Tensor) -> Tensor:
    """X of eq. 6.3: (row, column) [P, 2] -> (row, column, 1) [P, 3]."""
    return F.pad(positions, (0, 1), value=1.0)


@functools.cache
def compiled_colours() -> Callable[[Synthesis, Tensor, Tensor], Tensor]:
    """:meth:`Synthesis.colours`, compiled when it is first called: the elementwise operations in one pass."""
    return torch.compile(Synthesis.colours, dynamic=False, fullgraph=True)
