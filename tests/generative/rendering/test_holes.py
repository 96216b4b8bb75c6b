"""Holes: how much they hide, where, and of what they are functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from generative.rendering.holes import centre, disc, holes, paths, random_blocks, strokes, text

NAMES = ("blocks8_25pct", "centre16", "strokes3_12pct", "text8")


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


@pytest.mark.parametrize(("share", "brush"), [(0.12, 3), (0.005, 8), (0.4, 1), (0.99, 4)])
def test_the_share_of_strokes_is_exact(share: float, brush: int) -> None:
    known = strokes(6, 16, 24, share=share, brush=brush, seed=0)
    assert known.shape == (6, 1, 16, 24)
    assert known.dtype == torch.bool
    assert (~known).sum(dim=(1, 2, 3)).tolist() == [round(share * 16 * 24)] * 6


def test_a_stroke_is_what_its_brush_covers_from_the_beginning_of_its_path_on() -> None:
    path = next(paths(0, 64, 64, seed=8))
    assert abs(path[1:] - path[:-1]).max() == 1, "from pixel to pixel without a gap"
    assert 16 <= len(path) <= 64
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    hidden: dict[tuple[int, int], None] = {}
    for row, column in path.tolist():
        near = (rows - row) ** 2 + (columns - column) ** 2 <= 2.5**2
        hidden |= dict.fromkeys(tuple(pixel) for pixel in near.nonzero().tolist())  # type: ignore[misc]
    mask = strokes(1, 64, 64, share=60 / 4096, brush=5, seed=8)[0, 0]
    assert len(hidden) > 60, "it is cut off before its end"
    assert (~mask).nonzero().tolist() == [list(pixel) for pixel in sorted(list(hidden)[:60])]


@pytest.mark.parametrize(("diameter", "pixels"), [(1, 1), (2, 4), (3, 9), (4, 12), (5, 21)])
def test_a_brush_is_a_disc(diameter: int, pixels: int) -> None:
    steps = disc(diameter)
    assert len(steps) == pixels
    assert (steps.max(axis=0) - steps.min(axis=0) + 1).tolist() == [diameter, diameter]


def test_letters_are_written_in_lines() -> None:
    """Of 12 pixels and half as much between them: rows without a letter follow rows with some, all over the image."""
    known = text(20, 64, 48, size=12, seed=0)[:, 0]
    hidden = (~known).float().mean(dim=(1, 2))
    assert hidden.min() > 0.05
    assert hidden.max() < 0.4
    written = (~known).any(dim=2)
    assert (~written).sum(dim=1).min() >= 3 * 3, "between at least four lines"
    assert (written.unfold(1, 30, 1).any(dim=2)).all(), "no 30 rows without a line"
    assert (~known).any(dim=1).unfold(1, 12, 1).any(dim=2).all(), "from side to side"


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_functions_of_seed_and_number(name: str) -> None:
    known = holes(name, 4, 32, 32, seed=3)
    assert torch.equal(holes(name, 7, 32, 32, seed=3)[:4], known)
    if name != "centre16":
        assert len({tuple(mask.flatten().tolist()) for mask in known}) == 4, "each image has its own"
        assert not torch.equal(holes(name, 4, 32, 32, seed=4), known)


def test_a_name_says_how_masks_are_made() -> None:
    asked = {"count": 3, "height": 32, "width": 40}
    blocks = random_blocks(3, 32, 40, share=0.125, block=8, seed=2)
    assert torch.equal(holes("blocks8_12.5pct", **asked, seed=2), blocks)
    assert torch.equal(holes("centre16", **asked, seed=2), centre(3, 32, 40, block=16))
    drawn = strokes(3, 32, 40, share=0.12, brush=3, seed=2)
    assert torch.equal(holes("strokes3_12pct", **asked, seed=2), drawn)
    assert torch.equal(holes("text8", **asked, seed=2), text(3, 32, 40, size=8, seed=2))


@pytest.mark.parametrize(
    "name", ["blocks8", "block8_25pct", "centre", "centre16_25pct", "text8px", "blocks8_25", "", "strokes-3_12pct"]
)
def test_other_names_are_refused_with_examples(name: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its whole message is below
        holes(name, 1, 32, 32, seed=0)
    assert str(raised.value) == (
        f"there are no holes called {name!r}: give blocks<pixels>_<percent>pct such as blocks8_25pct, or centre<pixels> such as "
        "centre16, or strokes<pixels>_<percent>pct such as strokes3_12pct, or text<pixels> such as text8"
    )


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="brush must be between 1 and 8, the smaller side of the image, got 9"):
        strokes(1, 8, 12, share=0.25, brush=9, seed=0)
    with pytest.raises(ValueError, match=r"1\.5 of 8 x 8 pixels are 96 pixels"):
        holes("strokes2_150pct", 1, 8, 8, seed=0)
    with pytest.raises(
        ValueError, match=r"size must be between 5 pixels, below .* and 8, the smaller side of the image, got 4"
    ):
        text(1, 8, 12, size=4, seed=0)
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
