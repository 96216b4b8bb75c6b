"""A classifier of raw pixels that no trained network ever saw: who says whether a digit is the one asked for."""

from __future__ import annotations

import numpy as np
from sklearn.svm import SVC
from torch import Tensor


def as_rows(images: Tensor) -> np.ndarray:
    return images.flatten(1).double().cpu().numpy()


def fit_pixel_judge(images: Tensor, labels: Tensor) -> SVC:
    """A support vector machine with radial kernel on the pixels of small images [N, C, H, W].

    Pixels are not standardised: one that is black in all but a few images has almost no deviation, and a shade of
    grey in it, which nobody sees, would outweigh all the others.
    """
    return SVC(C=10.0, gamma="scale").fit(as_rows(images), labels.cpu().numpy())


def judged_accuracy(judge: SVC, images: Tensor, labels: Tensor) -> float:
    """Share of the images that ``judge`` names as ``labels`` [N] say."""
    return float(judge.score(as_rows(images), labels.cpu().numpy()))
