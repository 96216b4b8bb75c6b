"""An image to a file: a network fitted to it, its numbers rounded for a target, and fine-tuned while they are rounded.

Fine-tuning follows the gradient straight through the rounding (Adam), in rounds. After each the target's rule sets the steps
anew, and of the files that hold what was asked for the best is kept, whether tuned or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.codec.container import overhead
from generative.codec.quantization import step_of, straight_through
from lightning_modules.dfm.coded import CodedImage
from lightning_modules.dfm.descent import Budget, Progress, descend
from lightning_modules.dfm.fitting import Fitted, fit, pixels_of
from lightning_modules.dfm.half_angle import half_angle_layer
from lightning_modules.dfm.networks import Shape, colours
from lightning_modules.dfm.rate_control import AtMostBytes, Rounder, Target, sensitivities
from lightning_modules.dfm.recipe import Recipe, pixels_a_step

WIDTHS = (4, 5, 6)  # that are tried where none is given; at a low rate a small network wins
LEAST_BITS = 4.0  # a coefficient: a network that would get fewer is too large for its bytes
ROUNDS = 4
TUNING_RATE = 3e-4  # of the first round, halved with each
TUNING_SHARE = 0.3  # of the budget of fitting, beside it
MOST = 255
HEARD_AT = 4096  # pixels
Watch = Callable[[str, float], None]  # what is done, and the share of it that is over


def silent(what: str, share: float) -> None:
    """No progress."""


@dataclass(frozen=True)
class Candidates:
    """Which networks are tried: those of ``width``, or of the :data:`WIDTHS`, with ``depth`` + 1 layers.

    ``compiled``: steps of fitting as a compiled program, which takes ten seconds and more to make and is faster afterwards.
    """

    width: int | None = None
    depth: int = 6
    kernel: str = "full"
    compiled: bool = False

    def __post_init__(self) -> None:
        """ValueError for what a file does not hold."""
        for name, value in {"width": 1 if self.width is None else self.width, "depth": self.depth}.items():
            if not 1 <= value <= MOST:
                raise ValueError(f"{name} {value}: a file holds networks of width and depth from 1 to {MOST}")

    def shapes(self, target: Target, channels: int) -> list[Shape]:
        """By width. For a number of bytes one: the widest whose coefficients get 4 bits each, or the narrowest."""
        shapes = [
            Shape(width=width, depth=self.depth, channels=channels, kernel=self.kernel)
            for width in ((self.width,) if self.width is not None else WIDTHS)
        ]
        if isinstance(target, AtMostBytes):
            bits = 8.0 * (target.most - overhead(self.depth, target.most))
            shapes = [shape for shape in shapes if bits >= LEAST_BITS * shape.num_coefficients][-1:] or shapes[:1]
        return shapes


@dataclass(frozen=True)
class RoundedNetworks:
    """The networks of a shape with coefficients rounded to the ``steps``, codes of the layers, as a family of functions."""

    shape: Shape
    steps: tuple[int, ...]

    def __call__(self, points: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        rounded = [straight_through(part, step_of(code)) for part, code in zip(parameters, self.steps, strict=True)]
        return colours(points, rounded, self.shape, half_angle_layer)


@dataclass(frozen=True)
class Encoded:
    """A coded image and its PSNR, in dB; the network before it was rounded; seconds of the processor that all of it took."""

    coded: CodedImage
    psnr: float
    fitted: Fitted
    seconds: float


def encode(
    image: Tensor,
    target: Target,
    budget: Budget,
    *,
    candidates: Candidates = Candidates(),
    seed: int = 0,
    watch: Watch = silent,
) -> Encoded:
    """The uint8 ``image`` [C, H, W], C 1 or 3, coded for ``target``. Each network that is tried gets all of ``budget``.

    ValueError where the target cannot be met: fewer bytes than a file has with nothing in it, or a PSNR that no network of
    these reaches, with the best that one did; and where a network collapses.
    """
    target.check(candidates.depth)
    begun, best = time.process_time(), -math.inf
    shapes = candidates.shapes(target, len(image))
    for shape in shapes:
        fitted = fit(
            image[None],
            shape,
            "ours",
            budget,
            seed=seed,
            compiled=candidates.compiled,
            watch=reporting(watch, "fitting"),
        )
        best = max(best, fitted.psnr[0])
        if target.may_hold(fitted.psnr[0]):
            found = Tuning(image, shape, target, fitted, seed=seed).run(part_of(budget, TUNING_SHARE), watch=watch)
            if found is not None:
                return Encoded(*found, fitted, time.process_time() - begun)
    raise ValueError(
        f"{target} is not reached: the best of width {', '.join(str(shape.width) for shape in shapes)} and depth "
        f"{candidates.depth} was {best:.2f} dB; allow more time or a larger width"
    )


def reporting(watch: Watch, what: str, *, first: float = 0.0, share: float = 1.0) -> Callable[[Progress], None]:
    """``watch`` told of a descent that is ``share`` of something, from ``first`` on."""
    return lambda progress: watch(what, first + share * progress.step / progress.steps)


def part_of(budget: Budget, share: float) -> Budget:
    if budget.steps is not None:
        return Budget(steps=max(1, round(share * budget.steps)))
    assert budget.cpu_seconds is not None
    return Budget(cpu_seconds=share * budget.cpu_seconds)


class Tuning:
    """The fine-tuning of a ``fitted`` network at the steps of a file.

    ``best`` is the best file so far that holds what was asked for, with its PSNR.
    """

    def __init__(self, image: Tensor, shape: Shape, target: Target, fitted: Fitted, *, seed: int) -> None:
        self.image, self.shape, self.target, self.seed = image, shape, target, seed
        self.weights = fitted.course.parameters  # [1, rows, outputs] each
        points = pixels_of(image[None], seed=seed, numbers=[0], mask=None).points
        at = torch.linspace(0, len(points) - 1, min(len(points), HEARD_AT)).long()
        heard = sensitivities([part[0] for part in self.weights], shape, points[at], seed=seed)
        self.rounder = Rounder(image, shape, tuple(heard))
        self.best: tuple[CodedImage, float] | None = None

    def run(self, budget: Budget, *, watch: Watch) -> tuple[CodedImage, float] | None:
        """The best file and its PSNR after all rounds, or None where none holds the target."""
        log_c = self.consider(self.target.start(self.rounder, self.matrices))
        for place in range(ROUNDS):
            # Each round draws pixels of its own, and stays nearer to where it begins.
            recipe = Recipe("tuning", "adam", TUNING_RATE / 2**place, pixels_a_step(self.shape))
            pixels = pixels_of(self.image[None], seed=self.seed, numbers=[1 + place], mask=None)
            course = descend(
                RoundedNetworks(self.shape, tuple(self.rounder.codes(log_c))), self.weights, pixels, recipe,
                part_of(budget, 1 / ROUNDS), compiled=False,
                watch=reporting(watch, "fine-tuning", first=place / ROUNDS, share=1 / ROUNDS),
            )  # fmt: skip
            self.weights = course.parameters
            log_c = self.consider(log_c)
        return self.best

    @property
    def matrices(self) -> list[Tensor]:
        return [part[0] for part in self.weights]

    def consider(self, log_c: float) -> float:
        """Keeps the file of these steps where it holds and is the best so far, or else tries the steps that follow.

        Returns log2 c of the steps that follow.
        """
        following = log_c
        for _ in range(2):
            coded = self.rounder.at(self.matrices, following)
            quality = self.rounder.quality(coded)
            following = self.target.following(self.rounder, self.matrices, following, quality)
            if self.target.holds(coded, quality):
                if self.best is None or self.target.is_better(coded, quality, self.best):
                    self.best = coded, quality
                break
        return following
