"""How sure an inpainting is: the spread of several answers at each hidden pixel against the error of their mean."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from scipy.stats import rankdata
from torch import Tensor

from generative.rendering.colours import hot
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side

DEVIATIONS = 2.0  # on both sides of the mean, within which answers of a normal law lie in 95 % of cases
ASKED_COVERAGE = 0.95
SHOWN_ANSWERS = 4
BRIGHTEST = 0.5  # spread or error, of a range of 2, that a map shows as white


@dataclass(frozen=True)
class Doubt:
    """Of hidden pixels: does the spread of the answers say how wrong their mean is?

    ``rank_correlation`` of spread and absolute error over all pixels, and ``within_images`` its mean over images;
    ``error_by_quartile``: root mean square error where the spread is smallest, to where it is largest, of a range of 2;
    ``coverage``: how often the truth lies within two deviations of the mean; ``factor``: what deviations must be multiplied by
    for 95 %, found on every second image, and ``calibrated_coverage`` by it of the others.
    """

    answers: int
    rank_correlation: float
    within_images: float
    error_by_quartile: tuple[float, float, float, float]
    coverage: float
    factor: float
    calibrated_coverage: float


def measured_doubt(spreads: Sequence[Tensor], errors: Sequence[Tensor], *, answers: int) -> Doubt:
    """From the spread and the absolute error of each image's hidden pixels, [P] each; at least two images."""
    if len(spreads) < 2:
        raise ValueError("doubt is calibrated on every second image and checked on the others: give at least two")
    spread, error = torch.cat(list(spreads)).double(), torch.cat(list(errors)).double()
    in_order = error[spread.argsort()]
    quartiles = [float(part.square().mean().sqrt()) for part in in_order.tensor_split(4)]
    ratios = [e / s.clamp(min=torch.finfo(s.dtype).tiny) for s, e in zip(spreads, errors, strict=True)]
    factor = float(torch.cat(ratios[::2]).double().quantile(ASKED_COVERAGE)) / DEVIATIONS
    return Doubt(
        answers=answers,
        rank_correlation=rank_correlation(spread, error),
        within_images=sum(rank_correlation(s, e) for s, e in zip(spreads, errors, strict=True)) / len(spreads),
        error_by_quartile=(quartiles[0], quartiles[1], quartiles[2], quartiles[3]),
        coverage=covered(ratios, DEVIATIONS),
        factor=factor,
        calibrated_coverage=covered(ratios[1::2], DEVIATIONS * factor),
    )


def covered(ratios: Sequence[Tensor], deviations: float) -> float:
    """How often an error is at most so many deviations."""
    return float((torch.cat(list(ratios)) <= deviations).double().mean())


def rank_correlation(x: Tensor, y: Tensor) -> float:
    """Spearman's; 0 where all values of one are the same."""
    ranks = [torch.from_numpy(rankdata(values.numpy())) for values in (x, y)]
    centred = [values - values.mean() for values in ranks]
    norm = centred[0].norm() * centred[1].norm()
    return float(centred[0] @ centred[1] / norm) if norm > 0 else 0.0


@dataclass(frozen=True)
class Answered:
    """An ``original`` [C, H, W], the ``answers`` [K, C, H, W] to it, and its ``known`` pixels [1, H, W], all on the CPU."""

    original: Tensor
    answers: Tensor
    known: Tensor

    @property
    def mean(self) -> Tensor:
        return self.answers.mean(dim=0)

    @property
    def spread(self) -> Tensor:
        """The standard deviation of the answers, its root mean square over channels: [H, W]."""
        return self.answers.var(dim=0).mean(dim=0).sqrt()

    @property
    def error(self) -> Tensor:
        """Of the mean of the answers, its root mean square over channels: [H, W]."""
        return (self.mean - self.original).square().mean(dim=0).sqrt()


def write_doubt(output: Path, name: str, images: Iterable[Answered], *, shown: int) -> list[Path]:
    """The measures of all ``images``, of which one at a time is in memory, and a picture of the first ``shown``."""
    spreads, errors, first = [], [], list[Answered]()
    for image in images:
        hidden = ~image.known[0]
        spreads.append(image.spread[hidden])
        errors.append(image.error[hidden])
        first += [image] if len(first) < shown else []
    doubt = measured_doubt(spreads, errors, answers=len(first[0].answers))
    sheet = side_by_side(
        [(title, image_grid(part, num_columns=1, scale=scale_of(part))) for title, part in panels(first)]
    )
    written = [save_picture(sheet, output, f"doubt_{name}.png"), output / f"doubt_{name}.json"]
    written[1].write_text(json.dumps(asdict(doubt), indent=1) + "\n")
    return written


def scale_of(images: Tensor) -> int:
    return pixel_scale(images.shape[2])


def panels(images: Sequence[Answered]) -> Iterator[tuple[str, Tensor]]:
    """Columns of the picture: [N, C, H, W] in [-1, 1] under their titles."""
    yield "original", torch.stack([image.original for image in images])
    yield "known", torch.stack([torch.where(image.known, image.original, 0.0) for image in images])
    yield "mean of the answers", torch.stack([image.mean for image in images])
    for number in range(min(len(images[0].answers), SHOWN_ANSWERS)):
        yield f"answer {number}", torch.stack([image.answers[number] for image in images])
    for title, maps in (("error", [i.error for i in images]), ("spread", [i.spread for i in images])):
        inside = torch.stack([part * ~image.known[0] for part, image in zip(maps, images, strict=True)])
        yield title, hot((inside / BRIGHTEST).clamp(max=1))
