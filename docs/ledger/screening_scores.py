"""How bad each picture of a drawn set is, by two scores that need no person: what screening sorts by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from datamodules.patches.augmentation import middle
from datamodules.patches.windows import BoxedSet, Windows
from metrics.features import EfficientNetLite
from metrics.screening import background_distortion, neighbour_ratio

CHUNK = 16  # pictures at a time
SIDE = 96  # pixels that what is around a defect is enlarged to for EfficientNet-Lite0


@dataclass(frozen=True)
class Scores:
    """Of each drawn picture [N]: the change of its background in levels of 255, and the largest ratio of its defects."""

    distortion: np.ndarray
    ratio: np.ndarray

    def badness(self) -> np.ndarray:
        """From 0 to 1, [N]: the share of pictures that are better, by the worse of the two scores."""
        ranks = [(stats.rankdata(score) - 1) / max(1, len(score) - 1) for score in (self.distortion, self.ratio)]
        worst: np.ndarray = np.maximum(*ranks)
        return worst

    def kept(self, share: float) -> np.ndarray:
        """The numbers of the best pictures, in order; ValueError for a share that is none."""
        if not 0 < share <= 1:
            raise ValueError(f"--keep must be above 0 and at most 1, got {share:g}")
        order = np.argsort(self.badness(), kind="stable")
        return np.sort(order[: max(1, round(share * len(order)))])


def distortions(drawn: BoxedSet) -> np.ndarray:
    """Mean change of each picture outside its masks, in levels; ValueError without twins or masks."""
    if drawn.twins is None or drawn.masks is None:
        raise ValueError("the drawn pictures need faultless twins in clean/ and masks in train.json to be screened")
    found = []
    for numbers in torch.arange(len(drawn.images)).split(CHUNK):
        pictures = (torch.as_tensor(rows[numbers]) for rows in (drawn.images, drawn.twins, drawn.masks))
        found.append(background_distortion(*pictures))
    distorted: np.ndarray = torch.cat(found).numpy()
    return distorted


def ratios(windows: Windows, real: Windows, size: int) -> Tensor:
    """How far each drawn defect lies from the real ones of its class, [M]; infinite of a class with one real defect."""
    extractor = EfficientNetLite(0, side=SIDE)
    found = torch.full((len(windows),), torch.inf, dtype=torch.float64)
    for label in windows.labels.unique().tolist():
        mine, theirs = windows.labels == label, real.labels == label
        if int(theirs.sum()) > 1:
            features = [
                torch.cat([extractor.extract(part)["features"] for part in middle(some, size).split(64)])
                for some in (windows.images[mine], real.images[theirs])
            ]
            found[mine] = neighbour_ratio(*features)
    return found


def scores_of(sets: Sequence[tuple[BoxedSet, Windows]], real: Windows, size: int) -> Scores:
    """The scores of the pictures of sets, one set's after another's, each with the windows of its defects."""
    changes, largest = [], []
    with torch.no_grad():
        for drawn, windows in sets:
            changes.append(distortions(drawn))
            largest.append(np.zeros(len(drawn.images)))
            np.maximum.at(largest[-1], windows.origins.numpy(), ratios(windows, real, size).numpy())
    return Scores(np.concatenate(changes), np.concatenate(largest))
