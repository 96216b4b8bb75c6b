"""A classifier of raw pixels that no trained network ever saw: who says whether a digit is the one asked for."""

from __future__ import annotations

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor


def as_rows(images: Tensor) -> np.ndarray:
    return images.flatten(1).double().cpu().numpy()


def fit_pixel_judge(images: Tensor, labels: Tensor) -> Pipeline:
    """A support vector machine (radial kernel, standardised pixels) on small images [N, C, H, W]."""
    judge = make_pipeline(StandardScaler(), SVC(C=10.0))
    return judge.fit(as_rows(images), labels.cpu().numpy())


def judged_accuracy(judge: Pipeline, images: Tensor, labels: Tensor) -> float:
    """Share of the images that ``judge`` names as ``labels`` [N] say."""
    return float(judge.score(as_rows(images), labels.cpu().numpy()))
