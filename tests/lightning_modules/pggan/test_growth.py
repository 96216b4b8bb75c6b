"""Growth as a function of images seen, and images as its stages show them."""

from __future__ import annotations

import pytest
import torch

from lightning_modules.pggan.growth import Growth, Stage, images_at

GROWTH = Growth(levels=3, first_kimg=1, fade_kimg=[2, 4], stable_kimg=3)  # 1 | 1-3 | 3-6 | 6-10 | 10-


@pytest.mark.parametrize(
    ("images_seen", "stage"),
    [
        (0, Stage(1)),
        (999, Stage(1)),
        (1000, Stage(2, 0.0)),
        (2000, Stage(2, 0.5)),
        (3000, Stage(2)),
        (5999, Stage(2)),
        (7000, Stage(3, 0.25)),
        (10_000, Stage(3)),
        (10**9, Stage(3)),
    ],
)
def test_the_stage_after_so_many_images(images_seen: int, stage: Stage) -> None:
    assert GROWTH.at(images_seen) == stage


def test_borders_are_crossed_where_a_stage_begins_or_ends() -> None:
    crossed = [seen for seen in range(0, 20_000, 100) if GROWTH.crosses(seen, seen + 100)]
    assert crossed == [900, 2900, 5900, 9900]
    assert not GROWTH.crosses(13_000, 14_000), "the planned end of the last size is no border"


def test_as_published() -> None:
    """4 x 4 for 600 thousand images, then 600 of transition and 600 stable for each doubling up to 1024 pixels."""
    growth = Growth(levels=9, first_kimg=600, fade_kimg=600, stable_kimg=600)
    assert growth.at(600_000) == Stage(2, 0.0)
    assert growth.at(8 * 1_200_000) == Stage(9)
    assert growth.at(8 * 1_200_000 - 1).blend < 1.0
    assert growth.at(10**8).side == 1024


def test_images_as_a_stage_shows_them() -> None:
    images = torch.arange(64.0).view(1, 1, 8, 8)
    assert images_at(images, Stage(2), levels=2) is images
    coarse = images_at(images, Stage(1), levels=2)
    assert coarse.shape == images.shape
    assert coarse[0, 0, :2, :2].tolist() == [[4.5, 4.5], [4.5, 4.5]]  # the mean of 0, 1, 8 and 9
    torch.testing.assert_close(images_at(images, Stage(2, 0.25), levels=2), 0.75 * coarse + 0.25 * images)
    large = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(images_at(large, Stage(3, 0.0), levels=4), images_at(large, Stage(2), levels=4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"fade_kimg": [1, 2, 3]},
            "fade_kimg has one number for all doublings or one for each of the 2 from 4 x 4 pixels",
        ),
        ({"stable_kimg": -1}, "stable_kimg must be at least 0, got -1"),
        ({"first_kimg": float("nan")}, "first_kimg must be a finite number"),
    ],
)
def test_what_is_no_plan_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Growth(**({"levels": 3, "first_kimg": 1, "fade_kimg": 1, "stable_kimg": 1} | settings))  # type: ignore[arg-type]


def test_a_transition_of_no_length_is_none() -> None:
    growth = Growth(levels=2, first_kimg=1, fade_kimg=0, stable_kimg=1)
    assert [growth.at(seen) for seen in (999, 1000)] == [Stage(1), Stage(2)]
