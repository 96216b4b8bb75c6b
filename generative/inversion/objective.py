"""How far an image is from the one that is looked for, as far as that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.inversion.measurements import Measurement, Whole
from generative.inversion.search import ImageLoss
from generative.perceptual import deep_feature_distance

Stages = Callable[[Tensor], Sequence[Tensor]]  # images [B, C, H, W] -> maps [B, c, h, w] of a network, stage by stage
PIXEL_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"l2": torch.square, "l1": torch.abs}


@dataclass(frozen=True)
class ReconstructionLoss:
    """``pixel`` (l2 or l1), a mean over all values, plus ``perceptual`` times the distance in the ``stages`` of a network."""

    pixel: str = "l2"
    perceptual: float = 0.0
    stages: Stages | None = None  # none: the pixels alone

    def __post_init__(self) -> None:
        if self.pixel not in PIXEL_LOSSES:
            raise ValueError(f"pixel must be one of {', '.join(PIXEL_LOSSES)}, got {self.pixel!r}")
        if not 0 <= self.perceptual < math.inf:
            raise ValueError(f"perceptual must be finite and at least 0, got {self.perceptual}")

    def to(self, targets: Tensor, *, through: Measurement | None = None) -> ImageLoss:
        """The loss [B] of images against ``targets`` [B, C, H, W], of both only what ``through`` measures: by default all.

        Where pixels are hidden, they count as equal in the mean, and the network sees middle grey there.
        """
        measure, distance, stages = through or Whole(), PIXEL_LOSSES[self.pixel], self.stages
        with torch.no_grad():
            known = measure(targets)
            known_stages = [] if stages is None else stages(known.float())

        def loss(images: Tensor) -> Tensor:
            seen = measure(images)
            each = distance(seen - known).mean(dim=(1, 2, 3))
            if stages is None:
                return each
            return each + self.perceptual * deep_feature_distance(stages(seen.float()), known_stages).to(each)

        return loss
