"""Screening scores against plain loops, and what they say of planted artefacts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from torch import Tensor

from metrics.screening import background_distortion, neighbour_ratio


def boards(count: int, *, seed: int, moved: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy images [count, 3, 32, 32], their twins and masks: a bright square, and a smooth change of strength ``moved``."""
    random = np.random.default_rng(seed)
    twins = random.uniform(-1, 1, (count, 3, 32, 32))
    masks = np.zeros((count, 32, 32), dtype=np.uint8)
    for mask in masks:
        top, left = random.integers(4, 20, 2)
        mask[top : top + 8, left : left + 8] = 1
    shift = ndimage.gaussian_filter(random.normal(size=twins.shape), (0, 0, 4, 4))
    images = twins + 0.1 * random.normal(size=twins.shape) + moved * shift / shift.std()
    images += masks[:, None] * random.uniform(0.5, 2.0, (count, 1, 1, 1))  # defects of all strengths are no distortion
    return torch.from_numpy(images), torch.from_numpy(twins), torch.from_numpy(masks)


def test_distortion_is_the_mean_change_where_a_grown_mask_is_not() -> None:
    images, twins, masks = boards(4, seed=0, moved=0.2)
    for dilation in (0, 2):
        scores = background_distortion(images, twins, masks, dilation=dilation)
        for image, twin, mask, score in zip(images, twins, masks, scores, strict=True):
            near = ndimage.binary_dilation(mask.numpy(), np.ones((3, 3)), iterations=dilation) if dilation else mask > 0
            assert score == pytest.approx(np.abs(np.asarray(image - twin))[:, ~np.asarray(near, dtype=bool)].mean())


def test_only_the_background_counts() -> None:
    images, twins, masks = boards(2, seed=1)
    images = torch.where(masks[:, None] > 0, images, twins)
    assert background_distortion(images, twins, masks, dilation=0).tolist() == [0.0, 0.0]
    assert background_distortion(images.float(), twins.float(), masks.bool()).tolist() == [0.0, 0.0]


def test_distorted_backgrounds_score_above_others_and_undistorted_ones_do_not() -> None:
    plain = background_distortion(*boards(100, seed=2))
    other = background_distortion(*boards(100, seed=3))
    distorted = background_distortion(*boards(100, seed=4, moved=0.1))
    truth = [0] * 100 + [1] * 100
    assert roc_auc_score(truth, torch.cat([plain, distorted])) > 0.98
    assert 0.4 < roc_auc_score(truth, torch.cat([plain, other])) < 0.6


def test_the_ratio_is_that_of_nearest_distances() -> None:
    random = np.random.default_rng(5)
    real, drawn = random.normal(size=(7, 5)) + 100, random.normal(size=(9, 5)) + 100
    own = cdist(real, real) + np.diag(np.full(7, np.inf))
    expected = cdist(drawn, real).min(axis=1) / own.min(axis=1).mean()
    scores = neighbour_ratio(torch.from_numpy(drawn), torch.from_numpy(real), chunk=4)
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    moved = neighbour_ratio(torch.from_numpy(3 * drawn - 7), torch.from_numpy(3 * real - 7))
    np.testing.assert_allclose(moved, expected, rtol=1e-9)
    assert neighbour_ratio(torch.from_numpy(real[:1]), torch.from_numpy(real)) == pytest.approx(0, abs=1e-6)


def test_foreign_crops_score_above_others_and_crops_of_the_same_kind_do_not() -> None:
    random = np.random.default_rng(6)
    mixing = random.normal(size=(16, 48))  # crops of a kind lie near a plane of the features' space

    def crops(count: int, kind: float) -> Tensor:
        return torch.from_numpy((random.normal(size=(count, 16)) + kind) @ mixing)

    real = crops(20, 0.0)
    same, again, foreign = (neighbour_ratio(crops(200, kind), real) for kind in (0.0, 0.0, 2.0))
    truth = [0] * 200 + [1] * 200
    assert roc_auc_score(truth, torch.cat([same, foreign])) > 0.98
    assert 0.4 < roc_auc_score(truth, torch.cat([same, again])) < 0.6
    assert 0.8 < float(same.mean()) < 1.2


def test_bad_input_is_said() -> None:
    images, twins, masks = boards(2, seed=7)
    with pytest.raises(ValueError, match=r"masks \[N, H, W\], got .* \(1, 32, 32\)"):
        background_distortion(images, twins, masks[:1])
    with pytest.raises(ValueError, match="dilation must be at least 0 pixels, got -1"):
        background_distortion(images, twins, masks, dilation=-1)
    masks[1] = 1
    with pytest.raises(ValueError, match="mask number 1, grown by 3 pixels, leaves no background"):
        background_distortion(images, twins, masks)
    with pytest.raises(ValueError, match="rows of as many features"):
        neighbour_ratio(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="at least two of them, got 1"):
        neighbour_ratio(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="take copies out"):
        neighbour_ratio(torch.zeros(2, 3), torch.ones(3, 3))
