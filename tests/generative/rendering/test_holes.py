"""Holes: how much they hide, where, and of what they are functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from generative.rendering.holes import centre, random_blocks


@pytest.mark.parametrize(("share", "block"), [(0.12, 2), (0.25, 5), (0.4, 8), (0.99, 3), (0.005, 8)])
def test_the_share_is_exact(share: float, block: int) -> None:
    known = random_blocks(6, 16, 24, share=share, block=block, seed=0)
    assert known.shape == (6, 1, 16, 24)
    assert (~known).sum(dim=(1, 2, 3)).tolist() == [round(share * 16 * 24)] * 6


def test_a_mask_is_a_function_of_seed_and_number() -> None:
    asked = {"share": 0.25, "block": 4}
    known = random_blocks(5, 16, 16, seed=3, **asked)  # type: ignore[arg-type]
    assert torch.equal(random_blocks(9, 16, 16, seed=3, **asked)[:5], known)  # type: ignore[arg-type]
    assert len({tuple(mask.flatten().tolist()) for mask in known}) == 5, "each image has its own"
    assert not torch.equal(random_blocks(5, 16, 16, seed=4, **asked), known)  # type: ignore[arg-type]


def test_a_hole_is_made_of_whole_blocks_but_the_last() -> None:
    """Exactly four blocks' pixels are asked for; what no whole block covers lies inside one block."""
    for mask in random_blocks(40, 12, 12, share=4 * 9 / 144, block=3, seed=1)[:, 0]:
        hole = (~mask).float()[None, None]
        eroded = -F.max_pool2d(-hole, 3, stride=1)
        whole = F.max_pool2d(F.pad(eroded, (2, 2, 2, 2)), 3, stride=1)  # all blocks that lie in the hole
        rest = (hole - whole)[0, 0].nonzero()
        if len(rest):
            assert (rest.amax(dim=0) - rest.amin(dim=0) < 3).all()


def test_of_the_last_block_the_first_rows_are_hidden() -> None:
    mask = random_blocks(1, 10, 10, share=0.07, block=4, seed=0)[0, 0]
    rows, columns = (~mask).nonzero().unbind(dim=1)
    top, left = int(rows.min()), int(columns.min())
    assert sorted(zip((rows - top).tolist(), (columns - left).tolist(), strict=True)) == [
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip


def test_places_are_uniform_inside_the_image() -> None:
    """One block of 5 in 8 x 8: its corner lies in each of 16 places with one chance of 16."""
    masks = random_blocks(1600, 8, 8, share=25 / 64, block=5, seed=0)[:, 0]
    corners = [tuple((~mask).nonzero()[0].tolist()) for mask in masks]
    counts = torch.tensor([corners.count((i, j)) for i in range(4) for j in range(4)])
    assert counts.sum() == 1600
    assert counts.min() > 60
    assert counts.max() < 145


def test_centre() -> None:
    known = centre(2, 6, 8, block=2)
    assert (~known).sum() == 8
    assert not known[:, 0, 2:4, 3:5].any()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="block must be between 1 and 8, the smaller side of the image, got 9"):
        random_blocks(1, 8, 12, share=0.25, block=9, seed=0)
    with pytest.raises(
        ValueError, match=r"share must leave some pixels and hide some: 1\.0 of 8 x 8 pixels are 64 pixels"
    ):
        random_blocks(1, 8, 8, share=1.0, block=2, seed=0)
    with pytest.raises(ValueError, match=r"0\.001 of 8 x 8 pixels are 0 pixels"):
        random_blocks(1, 8, 8, share=0.001, block=2, seed=0)
    with pytest.raises(ValueError, match="hides the whole image"):
        centre(1, 8, 8, block=8)
