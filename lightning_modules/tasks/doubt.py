"""How sure an inpainting is: the spread of several answers at each hidden pixel against the error of their mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from scipy.stats import rankdata
from torch import Tensor

from generative.rendering.colours import hot
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side

DEVIATIONS = 2.0  # on both sides of the mean, within which answers of a normal law lie in 95 % of cases
ASKED_COVERAGE = 0.95
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


def write_doubt(
    output: Path, name: str, originals: Tensor, answers: Tensor, known: Tensor, *, shown: int
) -> tuple[Doubt, list[Path]]:
    """The measures of ``answers`` [N, K, C, H, W] to ``originals`` [N, C, H, W] in holes, and a picture of the first images.

    All in [-1, 1], ``known`` [N, 1, H, W] on the CPU.
    """
    mean, spread = answers.mean(dim=1), answers.var(dim=1).mean(dim=1).sqrt()
    error = (mean - originals).square().mean(dim=1).sqrt()
    hidden = ~known[:, 0]
    rows = [(spread[k][hidden[k]], error[k][hidden[k]]) for k in range(len(answers))]
    doubt = measured_doubt(*zip(*rows, strict=True), answers=answers.shape[1])
    maps = [hot((part * hidden / BRIGHTEST).clamp(max=1)) for part in (error, spread)]
    panels = [("original", originals), ("known", torch.where(known, originals, 0.0)), ("mean of the answers", mean)]
    panels += [(f"answer {k}", answers[:, k]) for k in range(min(answers.shape[1], 4))]
    panels += list(zip(("error", "spread"), maps, strict=True))
    scale = pixel_scale(originals.shape[2])
    sheet = side_by_side([(title, image_grid(images[:shown], num_columns=1, scale=scale)) for title, images in panels])
    written = [save_picture(sheet, output, f"doubt_{name}.png"), output / f"doubt_{name}.json"]
    written[1].write_text(json.dumps(asdict(doubt), indent=1) + "\n")
    return doubt, written
