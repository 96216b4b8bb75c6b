"""How good filled images are: scores of each, what a judge says of them, and the table of their means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from generative.rendering.images import to_uint8
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, Invertible
from lightning_modules.tasks.arms import Filled
from metrics.quality import restoration_scores

SCORES = {"psnr_hole": ".2f", "psnr_known": ".2f", "psnr_raw": ".2f", "psnr_pasted": ".2f", "ssim_pasted": ".3f"}


def judge_of(method: Invertible, judge: list[Classifies] | None) -> Classifies | None:
    """The one classifier that is given, if any; ValueError where it takes other images."""
    if judge is None:
        return None
    if len(judge) != 1:
        raise ValueError(f"judge takes one checkpoint, got {len(judge)}")
    if judge[0].image_shape != method.image_shape:
        raise ValueError(
            f"the judge takes images {judge[0].image_shape}, and the checkpoint draws {method.image_shape}"
        )
    return judge[0]


@torch.no_grad()
def judged(judge: Classifies, images: Tensor, originals: Tensor) -> dict[str, list[float]]:
    """Of each image: whether the judge names it as its original, 1 or 0, and how far its features are from the original's.

    The distance is in units of the length of the original's.
    """
    found, own = (judge.features(part.to(judge.device)) for part in (images, originals))
    alike = judge.classify(found).argmax(dim=1) == judge.classify(own).argmax(dim=1)
    distance = (found - own).norm(dim=1) / own.norm(dim=1)
    return {"named_alike": alike.double().tolist(), "feature_distance": distance.tolist()}


def scores_of(found: Filled, originals: Tensor, known: Tensor) -> dict[str, list[float]]:
    """The scores of each image of a batch by name; of several answers also ``psnr_hole_single``, the mean of theirs, and
    ``psnr_hole_spread``, their standard deviation.
    """
    pair = to_uint8(originals), known
    scores = {name: values.tolist() for name, values in restoration_scores(to_uint8(found.images), *pair).items()}
    answers = found.answers.unbind(dim=1)
    if len(answers) > 1:
        each = torch.stack([restoration_scores(to_uint8(answer), *pair)["psnr_hole"] for answer in answers])
        scores |= {"psnr_hole_single": each.mean(dim=0).tolist(), "psnr_hole_spread": each.std(dim=0).tolist()}
    return scores


def pooled_psnr(psnr: Sequence[float], pixels: Sequence[int]) -> float:
    """Of all images together: of the sum of their squared errors over so many ``pixels`` of each."""
    error = sum(count * 10 ** (-value / 10) for value, count in zip(psnr, pixels, strict=True)) / sum(pixels)
    return -10 * math.log10(max(error, 1e-10))


def table_of(lines: Sequence[dict[str, Any]]) -> str:
    """In Markdown: a row an arm, means over the images that it filled, of which the row states how many.

    A hole over a plain ground counts as 100 dB, so the median and the pooled PSNR stand beside.
    """
    rows = []
    for arm in dict.fromkeys(line["arm"] for line in lines):
        own = [line for line in lines if line["arm"] == arm]
        holes_of = [line["psnr_hole"] for line in own]
        means = [fmean(line[name] for line in own) if name in own[0] else math.nan for name in SCORES]
        cells = [
            "-" if math.isnan(value) else format(value, form)
            for value, form in zip(means, SCORES.values(), strict=True)
        ]
        middle = [f"{median(holes_of):.2f}", f"{pooled_psnr(holes_of, [line['hidden'] for line in own]):.2f}"]
        rows.append(
            [arm, str(len(own)), cells[0], *middle, *cells[1:], f"{fmean(line['seconds'] for line in own):.3f}"]
        )
    titles = (
        "arm",
        "images",
        "hole, dB",
        "its median",
        "pooled",
        "known, dB",
        "raw, dB",
        "pasted, dB",
        "SSIM pasted",
        "seconds an image",
    )
    return markdown(titles, rows)
