"""A batch in parts."""

from __future__ import annotations

import pytest
import torch

from generative.accumulation import groups, parts


def test_parts_are_the_batch_in_order_with_their_own_numbers() -> None:
    batch = {"image": torch.arange(24.0).view(6, 1, 2, 2), "label": torch.arange(6), "first_number": 100, "other": None}
    cut = parts(batch, 3)
    assert [part["first_number"] for part in cut] == [100, 102, 104]
    assert all(part.keys() == batch.keys() and part["other"] is None for part in cut)
    for name in ("image", "label"):
        assert torch.equal(torch.cat([part[name] for part in cut]), batch[name])  # type: ignore[arg-type]
    assert parts(batch, 1) == [batch]
    assert parts(batch, 1)[0] is batch
    with pytest.raises(ValueError, match="the 6 images that a rank has of each batch cannot be cut into 4 equal parts"):
        parts(batch, 4)


def test_groups_are_neighbours() -> None:
    rows = torch.arange(12.0).view(6, 2)
    assert torch.equal(groups(rows, group_size=3), torch.stack([rows[:3], rows[3:]]))
    # So each half of a batch has the groups that it has in the whole.
    assert torch.equal(groups(rows[3:], group_size=3), groups(rows, group_size=3)[1:])
    with pytest.raises(ValueError, match="a batch of 6 cannot be cut into groups of 4: choose a multiple"):
        groups(rows, group_size=4)
