"""Strips of a generator whose images are known functions of its latents, and of DCGAN on its running averages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from generative.rendering.images import to_uint8
from launch.generate.tasks import tasks_of
from lightning_modules.tasks.latent_models import sampling_alone
from lightning_modules.tasks.strips import strip, strip_images, title_of
from metrics.combinations import code
from tests.support.dcgans import untrained_dcgan
from tests.support.waves import Waves

STEP = 98  # pixels from one image of a picture to the next: 8 pixels 12 times as large, and the gap


def tile(picture: np.ndarray, *, panel: int, row: int, column: int, rows: int) -> np.ndarray:
    """The image at a place of a picture of panels below each other, each under a title: [8, 8]."""
    panel_height = 20 + 2 + rows * STEP + 8
    top, left = panel * panel_height + 20 + 2 + row * STEP, 8 + 2 + column * STEP
    return picture[top : top + 96 : 12, left : left + 96 : 12, 0]


def test_strips_pass_the_origin_and_end_at_the_codes(tmp_path: Path) -> None:
    method, lambdas, paths = Waves(), [0.0, 0.5, 1.0, 1.5], ["linear", "variance_preserving"]
    written = strip(method, tmp_path, seed=3, rows=2, lambdas=lambdas, paths=paths)
    assert [path.name for path in written] == ["strip_origin.png", "strip_between.png"]
    start, end = (code(method, 0, 2, place=place, seed=3) for place in (0, 1))
    origin, between = (np.array(Image.open(path)) for path in written)

    def check(picture: np.ndarray, panel: int, column: int, latents: Tensor) -> None:
        images = to_uint8(method.decode(latents))
        for row in range(2):
            shown = tile(picture, panel=panel, row=row, column=column, rows=2)
            # Latents of two ways of rounding may draw neighbouring levels.
            assert np.abs(shown.astype(int) - images[row, 0].numpy().astype(int)).max() <= 1

    for column, amount in enumerate(lambdas):
        check(origin, 0, column, (1 - 2 * amount) * start)
        straight = (1 - amount) * start + amount * end
        check(between, 0, column, straight)
        check(between, 1, column, straight / ((1 - amount) ** 2 + amount**2) ** 0.5)
    assert not to_uint8(method.decode(start)).equal(to_uint8(method.decode(end)))


def test_a_panel_for_each_model_under_its_prior(tmp_path: Path) -> None:
    other = untrained_dcgan("prior@method.prior=student")
    assert title_of(other) == "student (nu=3, unit_variance=true), 0 kimg"
    assert title_of(untrained_dcgan("prior@method.prior=gamma")) == "gamma, 0 kimg"  # whose theta is null
    origin, between = strip(
        untrained_dcgan(), tmp_path, seed=0, rows=1, lambdas=[0, 1], paths=["linear"], others=[other]
    )
    heights = {Image.open(path).height for path in (origin, between)}
    assert heights == {2 * (20 + 2 + STEP + 8)}
    assert "strip" in tasks_of(other)


def test_an_image_of_a_strip_hangs_on_no_other() -> None:
    """Under the statistics of its batch it would; the way of drawing that the method had is kept."""
    method = untrained_dcgan("method.sample_statistics=batch")
    assert sampling_alone(method) == "running_statistics"
    points = torch.randn(3, 2, 100, generator=torch.Generator().manual_seed(0))
    images = strip_images(method, points)
    assert images.shape == (2, 3, 1, 8, 8)
    torch.testing.assert_close(strip_images(method, points[1:2, :1])[0, 0], images[0, 1], rtol=0, atol=1e-5)
    together = method.decode(points[1])
    assert (together[0] - images[0, 1]).abs().max() > 1e-3, "by the batch it is another image"
    assert method.sampling == "batch_statistics"


class Hanging(Waves):
    drawn_together = 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": 0}, "rows must be at least 1, got 0"),
        ({"lambdas": []}, r"lambdas is a list of at least one finite number, got \[\]"),
        ({"lambdas": [0.0, float("inf")]}, "finite number"),
        ({"paths": ["spherical"], "lambdas": [1.5]}, "outside the domain of spherical interpolation"),
        ({"paths": ["curved"]}, "paths names some of linear"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        strip(Waves(), tmp_path, seed=0, **settings)
    assert not list(tmp_path.iterdir())


def test_a_generator_that_draws_no_image_alone_has_no_strip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every image of Hanging hangs on those that it is drawn with"):
        strip(Hanging(), tmp_path, seed=0)
