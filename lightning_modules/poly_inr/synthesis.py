"""The synthesis network of eq. 6.3, for autograd and, where gradients are off, in bounded memory."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.poly_inr.levels import (
    NEGATIVE_SLOPE,
    Activation,
    ModulatedLinear,
    activate_,
    activated_and_modulated,
    at_positions,
    multiply_adds,
    output_type,
)

# Pixels drawn together where gradients are off. On a processor two buffers of [1024, 1024] float32 stay near its caches
# (of 256 to 4,096 within 2 % of the fastest at 64 x 64 and 128 x 128); a GPU wants to be filled: four images of 256 x 256.
PIXELS_AT_ONCE = {"cpu": 2**10, "other": 2**18}

# How an image is drawn follows from measurements (benchmarks/poly_inr.py). On a GPU passes over the features cost more than
# the products, so what lies between two products is compiled into one pass. On an H200 256 x 256 pixels at width 1,024 in
# bfloat16 took 9.7 ms by the operations that serve a processor, 7.7 ms plainly and 2.5 ms by a sketch of what stands here,
# which itself has not been timed on one yet.
IN_PLACE_ON = {"cpu"}
# Features of an image (pixels times width) from which that is worth some seconds of compilation: 64 x 64 at 1,024.
COMPILED_FROM = 2**22


class Passes(NamedTuple):
    """The operations at the pixels between the products, each by one function."""

    first: Callable[[Tensor, Tensor], Tensor]  # X [P, 3], A [B, 3, n] -> A X [B, P, n]
    between: Callable[
        [Tensor, Tensor, Tensor], Tensor
    ]  # y [B, P, n], X, A -> activation of y times modulation, y's type


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
        """Not where every image has weights of its own: the backward passes written by hand know one set of them."""
        if not self.recompute or not torch.is_grad_enabled():
            return False
        return not torch._C._functorch.is_batchedtensor(self.to_image.weight)

    def compile_drawing(self) -> float:
        """From now on full chunks of pixels are drawn by compiled code where gradients are off; the seconds it took.

        Not on a processor alone: elsewhere images of :data:`COMPILED_FROM` features and more are without being asked.
        """
        started = time.perf_counter()
        weight, self.compiled = self.to_image.weight, True
        affine = weight.new_zeros(1, len(self.levels), 3, weight.shape[1], dtype=output_type(weight))
        try:
            with torch.no_grad():
                self.draw(affine, weight.new_zeros(pixels_at_once(weight.device), 2))
        except compiler_errors() as error:
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
        of_full_chunks: Callable[[Tensor, Tensor], Tensor] | None = None
        if device.type not in IN_PLACE_ON:
            passes = self.passes(len(positions))
            formula = functools.partial(self.colours_in_few_passes, linears=self.cast_linears(), passes=passes)
        else:
            # Autocast gives each operation a type of its own, which an operation on a given buffer cannot have.
            if affine.dtype == positions.dtype == weight.dtype and not torch.is_autocast_enabled(device.type):
                buffers = affine.new_empty(2, num_images * num_pixels, weight.shape[1])
                formula = functools.partial(self.colours_in_place, buffers=buffers)
            # One shape is compiled, that of a full chunk of one image: a rest is not worth another compilation.
            if self.compiled:
                of_full_chunks = functools.partial(compiled_colours(), self)
        for images, rows in zip(affine.split(num_images), drawn.split(num_images), strict=True):
            for pixels, part in zip(positions.split(num_pixels), rows.split(num_pixels, dim=1), strict=True):
                full = len(images) == 1 and len(pixels) == limit
                chosen = of_full_chunks if full and of_full_chunks is not None else formula
                part.copy_(chosen(images, homogeneous(pixels)))
        return drawn

    def cast_linears(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each level and of the last layer, in the type of their products: autocast casts at each use."""
        kind = output_type(self.to_image.weight)
        return [(linear.weight.to(kind), linear.bias.to(kind)) for linear in (*self.linears, self.to_image)]

    def passes(self, num_pixels: int) -> Passes:
        """Compiled for images of :data:`COMPILED_FROM` features or where it was asked for.

        A function of the image's size alone: what is drawn beside or before an image does not enter.
        """
        settings = self.modulation_slope, self.activation_slope, self.clamp
        large = num_pixels * self.to_image.weight.shape[1] >= COMPILED_FROM
        if self.compiled:
            return compiled_passes(*settings)
        return compiled_where_possible(*settings) if large else eager_passes(*settings)

    def colours_in_few_passes(
        self, affine: Tensor, x: Tensor, *, linears: list[tuple[Tensor, Tensor]], passes: Passes
    ) -> Tensor:
        """:meth:`colours` without autograd: a product and one pass over the features a level, types chosen by hand."""
        (weight, bias), *later, (last_weight, last_bias) = linears
        with torch.autocast(x.device.type, enabled=False):
            affine = affine.to(x.dtype)
            # W_0 (A_0 X) + b = (W_0 A_0 + [0, 0, b]) X, since the third coordinate is 1.
            folded = affine[:, 0] @ self.linears[0].weight.to(x.dtype).T
            folded[:, 2] += self.linears[0].bias.to(x.dtype)
            y = passes.first(x, folded).to(weight.dtype)
            for i, (weight, bias) in enumerate(later, start=1):
                h = passes.between(y, x, affine[:, i])
                y = torch.addmm(bias, h.flatten(0, 1), weight.T).unflatten(0, h.shape[:2])
            activate_(y, self.activation_slope, self.clamp)
            return F.linear(y, last_weight, last_bias)

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


def eager_passes(modulation_slope: float, activation_slope: float, clamp: float | None) -> Passes:
    """Operation by operation."""

    def between(y: Tensor, x: Tensor, affine: Tensor) -> Tensor:
        return activated_and_modulated(
            y, x, affine, modulation_slope=modulation_slope, activation_slope=activation_slope, clamp=clamp
        )

    return Passes(multiply_adds, between)


@functools.cache
def compiled_passes(modulation_slope: float, activation_slope: float, clamp: float | None) -> Passes:
    """Each compiled when it is first called, for any number of images and pixels: less to compile than the network."""
    settings = modulation_slope, activation_slope, clamp
    return Passes(*(torch.compile(of, dynamic=True) for of in eager_passes(*settings)))


@functools.cache
def compiled_where_possible(modulation_slope: float, activation_slope: float, clamp: float | None) -> Passes:
    """:func:`compiled_passes`; where there is no compiler the same values operation by operation, said once."""
    settings = modulation_slope, activation_slope, clamp
    eager, compiled = eager_passes(*settings), compiled_passes(*settings)
    without_compiler = False

    def tried(name: str) -> Callable[..., Tensor]:
        def run(*tensors: Tensor) -> Tensor:
            nonlocal without_compiler
            if not without_compiler:
                try:
                    result: Tensor = getattr(compiled, name)(*tensors)
                    return result
                except compiler_errors() as error:
                    without_compiler = True
                    warnings.warn(
                        f"images are drawn more slowly than they could be: torch.compile needs a C++ compiler "
                        f"({str(error).splitlines()[0]})",
                        stacklevel=2,
                    )
            slow: Tensor = getattr(eager, name)(*tensors)
            return slow

        return run

    return Passes(*map(tried, Passes._fields))


def compiler_errors() -> type[Exception]:
    """What torch.compile raises where the code that it wrote cannot be compiled."""
    from torch._dynamo.exc import BackendCompilerFailed

    return BackendCompilerFailed


@functools.cache
def compiled_colours() -> Callable[[Synthesis, Tensor, Tensor], Tensor]:
    """:meth:`Synthesis.colours`, compiled when it is first called: the elementwise operations in one pass."""
    return torch.compile(Synthesis.colours, dynamic=False, fullgraph=True)
