"""How coarse a fitted network is written: the steps of its layers for a number of bytes or for a PSNR.

A single number c sets all steps, step_l = c / sqrt(mean squared gradient of an output by a coefficient of layer l), rounded to
quarters of an octave: then rounding costs an output about as much in every layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.codec.container import overhead
from generative.codec.quantization import step_codes
from generative.codec.rate_distortion import psnr
from generative.randomness import Stream
from lightning_modules.dfm.coded import SPARE, CodedImage, rounded
from lightning_modules.dfm.half_angle import half_angle_layer
from lightning_modules.dfm.networks import Shape, colours

FINEST, COARSEST = -16.0, 4.0  # log2 c: nothing is lost; every number is 0
COARSE = -6.0  # where the search for a quality begins: at 2^-8 coefficients take about 5 bits
HALVINGS = 11  # of that range, to a hundredth of an octave
PROBES = 4
DECIBELS_AN_OCTAVE = 6.0  # of c, where rounding makes all of the error
WIDEST_MOVE = 0.5  # octaves of c


def sensitivities(coefficients: Sequence[Tensor], shape: Shape, points: Tensor, *, seed: int) -> list[float]:
    """The root mean squared gradient of an output at ``points`` [P, 2] by a coefficient, of each layer.

    By Hutchinson's way: for random signs v the square of the gradient of v . outputs has the sum of squares as its mean.
    """
    weights = [matrix.detach().requires_grad_() for matrix in coefficients]
    outputs = colours(points, weights, shape, half_angle_layer)
    signs = 1.0 - 2.0 * Stream(seed, "sensitivities").integers(0, PROBES * outputs.numel(), high=2)
    squares = [0.0] * len(weights)
    for probe in signs.to(outputs).view(PROBES, *outputs.shape):
        gradients = torch.autograd.grad((probe * outputs).sum(), weights, retain_graph=True)
        squares = [total + float(g.square().mean()) for total, g in zip(squares, gradients, strict=True)]
    return [math.sqrt(total / (PROBES * outputs.numel())) for total in squares]


@dataclass(frozen=True)
class Rounder:
    """Writes networks of one ``shape`` for the uint8 ``image`` [C, H, W]; ``heard``: the :func:`sensitivities` of its layers."""

    image: Tensor
    shape: Shape
    heard: tuple[float, ...]

    def codes(self, log_c: float) -> list[int]:
        """The step code of each layer."""
        return step_codes(2.0**log_c, self.heard)

    def at(self, coefficients: Sequence[Tensor], log_c: float) -> CodedImage:
        height, width = self.image.shape[1:]
        return rounded(coefficients, self.shape, self.codes(log_c), (height, width))

    def quality(self, coded: CodedImage) -> float:
        """PSNR of what the file decodes to, in dB."""
        return psnr(self.image.numpy(), coded.image().numpy())


def bisected(holds: Callable[[float], bool]) -> float:
    """The finest log2 c at which ``holds``, which is taken to hold from some c on."""
    low, high = FINEST, COARSEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class AtMostBytes:
    """A file of at most ``most`` bytes, and of these the best."""

    most: int

    def __str__(self) -> str:
        return f"{self.most} bytes"

    def check(self, depth: int) -> None:
        """ValueError for fewer bytes than a file with nothing in it has."""
        least = overhead(depth, 0) + SPARE
        if self.most < least:
            raise ValueError(
                f"{self.most} bytes are fewer than the {least} of a file that holds nothing: give more bytes, or a smaller depth"
            )

    def may_hold(self, psnr_fitted: float) -> bool:
        """Whether a network that reached this PSNR unrounded is worth rounding."""
        return True

    def start(self, rounder: Rounder, coefficients: Sequence[Tensor]) -> float:
        """log2 c of the finest steps that the bytes allow."""
        return bisected(lambda log_c: rounder.at(coefficients, log_c).num_bytes <= self.most)

    def following(self, rounder: Rounder, coefficients: Sequence[Tensor], log_c: float, quality: float) -> float:
        """log2 c of the next round: the same for these coefficients."""
        return self.start(rounder, coefficients)

    def holds(self, coded: CodedImage, quality: float) -> bool:
        return len(coded.content) <= self.most

    def is_better(self, coded: CodedImage, quality: float, than: tuple[CodedImage, float]) -> bool:
        return quality > than[1]


@dataclass(frozen=True)
class AtLeastQuality:
    """A PSNR of at least ``psnr`` dB, and of such files the smallest."""

    psnr: float

    def __str__(self) -> str:
        return f"{self.psnr:g} dB"

    def check(self, depth: int) -> None:
        """ValueError for what no image of 8 bits can be asked for."""
        if not 0 < self.psnr < 100:
            raise ValueError(f"a PSNR of {self.psnr:g} dB: give a number between 0 and 100")

    def may_hold(self, psnr_fitted: float) -> bool:
        """Whether a network that reached this PSNR unrounded is worth rounding."""
        return psnr_fitted >= self.psnr

    def start(self, rounder: Rounder, coefficients: Sequence[Tensor]) -> float:
        """log2 c of coarse steps that reach the PSNR untuned, to half an octave, or of the finest where none does."""
        log_c = COARSE
        while log_c > FINEST and rounder.quality(rounder.at(coefficients, log_c)) < self.psnr:
            log_c -= WIDEST_MOVE
        return log_c

    def following(self, rounder: Rounder, coefficients: Sequence[Tensor], log_c: float, quality: float) -> float:
        """log2 c of the next round: coarser where there is quality to spare, finer where it lacks."""
        move = (quality - self.psnr) / DECIBELS_AN_OCTAVE
        return log_c + min(max(move, -WIDEST_MOVE), WIDEST_MOVE)

    def holds(self, coded: CodedImage, quality: float) -> bool:
        return quality >= self.psnr

    def is_better(self, coded: CodedImage, quality: float, than: tuple[CodedImage, float]) -> bool:
        return coded.num_bytes < than[0].num_bytes


Target = AtMostBytes | AtLeastQuality
