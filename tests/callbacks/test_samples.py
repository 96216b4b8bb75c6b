"""Which grids stay on disk, and the real images beside them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from callbacks.samples import kept, real_numbers
from datamodules.digits import Digits


@pytest.mark.parametrize("most", [2, 3, 8, 64])
def test_a_long_run_keeps_grids_over_all_its_time(most: int) -> None:
    """Also when it deletes on the way, and when an earlier end had left a grid between two others."""
    clocks = [10 * k + (0.048 if k else 0.0) for k in range(1000)]
    on_disk: list[float] = []
    for clock in clocks:
        on_disk.append(clock)
        if clock == clocks[500]:
            on_disk.append(clock + 5)
        on_disk = sorted(kept(on_disk, every_kimg=10, most=most))
        assert len(on_disk) <= most
        assert on_disk[-1] >= clock
    assert on_disk == sorted(kept(clocks, every_kimg=10, most=most)), "when it is deleted does not matter"
    assert (on_disk[0], on_disk[-1]) == (0.0, clocks[-1])
    gaps = [b - a for a, b in itertools.pairwise(on_disk)]
    assert max(gaps[:-1], default=0) <= 1.1 * min(gaps[:-1], default=0), "evenly spread but for the last"
    assert len(on_disk) > most / 2


def test_a_short_run_keeps_all() -> None:
    assert kept([0.0, 10.0, 20.0, 25.0], every_kimg=10, most=64) == {0.0, 10.0, 20.0, 25.0}
    assert kept([0.0, 25.0], every_kimg=0, most=2) == {0.0, 25.0}
    assert kept([], every_kimg=10, most=2) == set()


def test_real_images_stand_in_the_places_of_their_classes() -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 2])
    assert real_numbers(torch.tensor([0, 1, 2, 0, 1, 2, 0]), labels, 7) == [1, 2, 0, 3, None, 4, None]
    assert real_numbers(None, labels, 3) == [0, 2, 4], "from all over the set, which may be sorted"
    assert real_numbers(None, labels, 8) == [0, 1, 2, 3, 4, 5, None, None]


@pytest.mark.parametrize("conditional", [True, False])
def test_a_run_shows_real_images_once_and_thins_its_grids(conditional: bool, small_run: Callable) -> None:
    settings = ("callbacks.metrics.metrics=[]", "callbacks.metrics.test_metrics=[fd]", "callbacks.samples.most_kept=3")
    folder, _ = small_run(
        "max_kimg=0.16", "callbacks.samples.every_kimg=0.016", f"method.conditional={conditional}".lower(), *settings
    )
    left = sorted(path.name for path in (folder / "samples").iterdir())
    assert left == [*(f"kimg_000000.{kimg}_8px.png" for kimg in ("000", "128", "160")), "real_images.png"]

    grid = np.array(Image.open(folder / "samples" / "real_images.png"))
    with Image.open(folder / "samples" / left[0]) as samples:
        assert grid.shape == (samples.height, samples.width), "the same layout"
    images, labels = Digits(batch_size=16, seed=0).split("train")
    side = 6 * 8 + 2  # each pixel six times as large, two of a gap
    for row, column in ((0, 0), (3, 7), (7, 9)):
        place = 10 * row + column
        number = int((labels == column).nonzero()[row]) if conditional else place * len(images) // 80
        expected = (
            ((images[number, 0].float() + 1) * 127.5).round() if images.is_floating_point() else images[number, 0]
        )
        shown = grid[2 + row * side :, 2 + column * side :][:48:6, :48:6]
        assert np.array_equal(shown, expected.numpy().astype(np.uint8))


def test_translations_stand_beside_their_inputs(small_run: Callable) -> None:
    """Two panels: what a filler is given, with holes in middle grey, and what it makes of it; nothing is measured on request."""
    settings = ("+callbacks.samples.num_rows=2", "+callbacks.samples.num_columns=3")
    nothing = ("callbacks.metrics.metrics=[]", "callbacks.metrics.test_metrics=[]")
    folder, measured = small_run("method=defects_filler", "max_kimg=0.016", *settings, *nothing)
    assert not [name for name in measured if name.startswith("fd")]
    picture = Image.open(sorted((folder / "samples").glob("kimg_*.png"))[0])
    real = Image.open(folder / "samples" / "real_images.png")
    assert picture.width > 2 * real.width
    pixels = np.asarray(picture.convert("L"))
    left, right = pixels[20:, : picture.width // 2], pixels[20:, picture.width // 2 :]
    assert (left == 128).mean() > 0.01
    assert (right == 128).mean() < 0.6 * (left == 128).mean(), "the digits have some of this grey themselves"
