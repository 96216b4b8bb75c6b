"""What can be measured, and which way is better: a measure without a direction cannot be logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Direction = Literal["lower", "higher"]
Measures = Mapping[str, Direction]

# Generated images against real ones, from features or rows of an extractor.
GENERATION: Measures = {
    "fd": "lower",
    "sfd": "lower",
    "kid": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "authenticity": "higher",
    "is": "higher",
    "accuracy": "higher",  # of the asked class
    "tstr_accuracy": "higher",
}
# Stated beside the value that they qualify.
COMPANIONS: Measures = {"kid_error": "lower", "is_spread": "lower", "judge_accuracy": "higher"}
# An image and its original, in pairs.
RECONSTRUCTION: Measures = {"psnr": "higher", "ssim": "higher", "mae": "lower", "feature_distance": "lower"}
# An image with a hole that was filled, and its original: the pixels of the hole, the known ones, all as they were drawn
# (raw), all with the known ones put back (pasted).
RESTORATION: Measures = {
    "psnr_hole": "higher",
    "psnr_hole_pooled": "higher",
    "psnr_known": "higher",
    "psnr_raw": "higher",
    "psnr_pasted": "higher",
    "ssim_raw": "higher",
    "ssim_pasted": "higher",
}
CLASSIFICATION: Measures = {"accuracy": "higher", "top5_accuracy": "higher", "cross_entropy": "lower"}
SEGMENTATION: Measures = {"mean_iou": "higher", "pixel_accuracy": "higher"}
# A map of where a classifier looks, against masks of objects.
LOCALIZATION: Measures = {"energy_inside": "higher", "pointing_game": "higher"}
DETECTION: Measures = {"map": "higher", "map_50": "higher", "map_75": "higher"}


def better(one: float, other: float, direction: Direction) -> float:
    """The better of two values."""
    return min(one, other) if direction == "lower" else max(one, other)


def joined(*parts: Measures) -> dict[str, Direction]:
    """All measures of ``parts``; ValueError where two of them disagree on which way one is better."""
    found: dict[str, Direction] = {}
    for part in parts:
        for name, direction in part.items():
            if found.setdefault(name, direction) != direction:
                raise ValueError(
                    f"the measure {name!r} is better when lower and better when higher: rename one of the two"
                )
    return found
