"""The classifier losses of Fig. 16 against numpy, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from generative.classification_losses import LOSSES


def by_hand(name: str, p: NDArray[np.float64], label: int) -> float:
    """Of one image's probabilities."""
    target = np.eye(len(p))[label]
    return float(
        {
            "cross_entropy": -np.log(p[label]),
            "hinge": max(0.0, 1.0 + max(p[k] for k in range(len(p)) if k != label) - p[label]),
            "squared_error": np.mean((p - target) ** 2),
            "cosine": 1.0 - p @ target / (np.linalg.norm(p) * np.linalg.norm(target)),
        }[name]
    )


def test_there_are_four() -> None:
    assert list(LOSSES) == ["cross_entropy", "hinge", "squared_error", "cosine"]


@pytest.mark.parametrize("name", LOSSES)
def test_against_numpy(name: str) -> None:
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.standard_normal((40, 5)), rng.integers(5, size=40)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [by_hand(name, *one) for one in zip(p, labels, strict=True)]
    found = LOSSES[name](torch.tensor(logits), torch.tensor(labels))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("hinge", 0.0, 2.0), ("squared_error", 0.0, 2 / 3), ("cosine", 0.0, 1.0)]
)
def test_bounds(name: str, least: float, most: float) -> None:
    """Sure of the right class, and sure of a wrong one."""
    logits = torch.tensor([[100.0, 0.0, 0.0]], dtype=torch.float64)
    assert float(LOSSES[name](logits, torch.tensor([0]))) == pytest.approx(least, abs=1e-9)
    assert float(LOSSES[name](logits, torch.tensor([1]))) == pytest.approx(most, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_left_before_the_softmax(name: str) -> None:
    logits = torch.linspace(-4, 4, 12).view(3, 4).bfloat16()
    labels = torch.tensor([3, 0, 1])
    found = LOSSES[name](logits, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, LOSSES[name](logits.float(), labels))
