"""From boxes to masks: with a twin, without one, and where nothing stands out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from generative.rendering.defects.masks import from_box, refined
from tests.support.defects import blot_mask, part


def picture(mask: np.ndarray) -> np.ndarray:
    soft = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 0.7)[..., None]
    return np.clip(part(0) * (1 - soft) + soft * np.array([190, 130, 30]), 0, 255).astype(np.uint8)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def box_of(mask: np.ndarray, *, margin: int) -> tuple[float, ...]:
    rows, columns = np.nonzero(mask)
    return (columns.min() - margin, rows.min() - margin, columns.max() + 1 + margin, rows.max() + 1 + margin)


@pytest.mark.parametrize("margin", [0, 5])
def test_a_blot_is_found_in_its_box(margin: int) -> None:
    mask = blot_mask(0)
    shown = picture(mask)
    assert iou(from_box(shown, box_of(mask, margin=margin)), mask) > 0.85
    assert iou(from_box(shown, box_of(mask, margin=margin), part(1)), mask) > 0.85
    assert iou(from_box(np.ascontiguousarray(shown[..., 0]), box_of(mask, margin=margin)), mask) > 0.8  # in grey


def test_a_rough_rim_moves_to_the_edge() -> None:
    mask = blot_mask(0)
    rough = np.roll(mask, (2, 0), axis=(0, 1))
    assert iou(refined(picture(mask), rough), mask) > iou(rough, mask) + 0.05


def test_nothing_stands_out() -> None:
    flat = np.full((60, 60, 3), 90, dtype=np.uint8)
    with pytest.raises(ValueError, match="nothing in the box stands out"):
        from_box(flat, (20, 20, 40, 40))
    with pytest.raises(ValueError, match="nothing in the box stands out"):
        from_box(part(0), (10, 10, 30, 30), part(1))
