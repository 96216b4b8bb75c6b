"""Shares of known decisions."""

from __future__ import annotations

import pytest
import torch

from metrics.cue_conflict import cue_shares


def test_shares_of_known_decisions() -> None:
    shape, texture = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    found = cue_shares("m", "all", torch.tensor([0, 0, 1, 2]), shape, texture)
    assert found[2:] == (0.5, 0.25, 0.25, pytest.approx(2 / 3), 4)
    assert cue_shares("m", "all", torch.tensor([2]), shape[:1], texture[:1]).shape_bias is None
    assert cue_shares("m", "rightly", shape[:0], shape[:0], texture[:0]).num_images == 0
