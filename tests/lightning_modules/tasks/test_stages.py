"""The task `stages`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from generative.rendering.images import side_by_side
from lightning_modules.pggan.growth import Growth
from lightning_modules.pggan.module import PGGAN
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.tasks import stages as task
from lightning_modules.tasks.stages import least_side, stages
from tests.support.pggans import small_pggan

GROWTH = partial(Growth, first_kimg=1, fade_kimg=1, stable_kimg=1)
RUN: dict[str, Any] = {"experiment_name": "pggan/small", "seed": 0, "method": {"latent_dim": 4}}


def at(images_seen: int, **changed: Any) -> PGGAN:
    """The same weights at another time of a run."""
    method = small_pggan(growth=GROWTH)
    method.images_seen, method.run_config = images_seen, RUN | changed
    method.show_stage(images_seen)
    return method


def test_the_same_latents_in_the_order_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []

    def kept(panels: Any) -> Image.Image:
        titles.extend(title for title, _ in panels)
        return side_by_side(panels)

    monkeypatch.setattr(task, "side_by_side", kept)
    written = stages(at(3000), tmp_path, seed=0, others=[at(1500), at(1000)], rows=3)
    assert [path.name for path in written] == ["stages.png"]
    assert titles == ["4 x 4\n1 kimg", "8 x 8\n1.5 kimg", "8 x 8\n3 kimg"], "at 1 kimg the next size has no share yet"
    early, late = (at(images).sample(0, 3, seed=0) for images in (1000, 3000))
    assert not torch.allclose(early, late)
    with Image.open(written[0]) as picture:
        assert picture.height == 3 * (96 + 2) + 2 + 2 * 20 + 8


def test_the_least_pixels_that_show_the_same() -> None:
    small = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    for times, side in ((1, 3), (2, 3), (4, 3)):
        assert least_side(small.repeat_interleave(times, 2).repeat_interleave(times, 3)) == side
    images = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    images[1, 0, 0, 0] += 1
    assert least_side(images) == 12


@pytest.mark.parametrize("changed", [{"seed": 1}, {"experiment_name": "pggan/other"}, {"method": {"latent_dim": 8}}])
def test_checkpoints_of_other_runs_are_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"a checkpoint of another run \((seed 1, not 0|experiment_name|another method)"
    ):
        stages(at(3000), tmp_path, seed=0, others=[at(1000, **changed)])
    assert not list(tmp_path.iterdir())


def test_classes_of_a_generator_that_knows_some(method: PolyINR, tmp_path: Path) -> None:
    if method.num_classes == 0:
        with pytest.raises(ValueError, match="this model is unconditional: leave out classes"):
            stages(method, tmp_path, seed=0, others=[], rows=2, classes=3)
        return
    assert stages(method, tmp_path, seed=0, others=[], rows=2, classes=3)[0].exists()
    with pytest.raises(ValueError, match="one class for all samples or one for each of the 2, got 3"):
        stages(method, tmp_path, seed=0, others=[], rows=2, classes=[1, 2, 3])
