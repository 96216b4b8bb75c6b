"""The tasks `colourise`, `enlarge` and `denoise`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import median_filter

from datamodules.digits import Digits
from generative.inversion.measurements import Grey, Reduced
from generative.rendering.images import to_pil, to_uint8
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.base import Invertible
from lightning_modules.pggan.module import PGGAN
from lightning_modules.tasks.completion import Completion, colourise, denoise, enlarge, median_3x3
from lightning_modules.tasks.originals import Originals
from lightning_modules.tasks.search import Inversion, make_objective
from tests.support.waves import Waves

DATA = Digits(batch_size=8, seed=0)
FAST: dict[str, Any] = {"seed": 0, "datamodule": DATA, "steps": 4, "count": 3}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def pggan(channels: int) -> PGGAN:
    torch.manual_seed(0)
    config = plain(compose("train", ["experiment=none", "method=pggan", "datamodule=digits", "run_dir=x"]))
    _, method = build(config)
    assert isinstance(method, PGGAN)
    return PGGAN(**{"image_shape": (channels, 16, 16), "num_classes": 0, "seed": 0} | parts_of(method)).eval()


def parts_of(method: PGGAN) -> dict[str, Any]:
    from functools import partial

    from lightning_modules.pggan.networks import Critic, Generator

    small = {"base": 64, "most": 8}
    optimizer = torch.optim.Adam
    return {
        "generator": partial(Generator, latent_dim=8, **small),
        "critic": partial(Critic, **small),
        "generator_optimizer": optimizer,
        "critic_optimizer": optimizer,
    }


@pytest.mark.parametrize(("task", "simple"), [(enlarge, "bicubic"), (denoise, "median")])
def test_a_task_shows_what_is_known_beside_what_was_drawn(
    task: Any, simple: str, method: Invertible, tmp_path: Path
) -> None:
    written = task(method, tmp_path, **FAST)
    name = task.__name__
    assert [path.name for path in written] == [f"{name}.png", f"{name}.jsonl", f"{name}.md"]
    lines = lines_of(written[1])
    assert [line["arm"] for line in lines[::3]] == [simple, "raw", "completed"]
    assert {line["task"] for line in lines} == {name}
    assert all("psnr" in line and "ssim" not in line for line in lines), "too small for its window"


def test_what_is_known_of_the_answer_is_kept(tmp_path: Path) -> None:
    """Of images of its own a search finds the noisy pixels from the others, which a median does not."""
    method = Waves()
    images = method.sample(0, 3, seed=5)
    (tmp_path / "own").mkdir()
    for number, image in enumerate(to_uint8(images)):
        to_pil(image).save(tmp_path / "own" / f"{number}.png")
    written = denoise(method, tmp_path / "out", share=0.3, images=str(tmp_path / "own"), **(FAST | {"steps": 300}))
    means = {
        arm: min(line["psnr"] for line in lines_of(written[1]) if line["arm"] == arm) for arm in ("median", "completed")
    }
    assert means["completed"] > 30 > means["median"]


def test_colours_for_grey_images(tmp_path: Path) -> None:
    method = pggan(3)
    images = method.sample(0, 2, seed=1).clamp(-1, 1)
    originals = Originals(images, None)
    grey = Grey()(images).expand(-1, 3, -1, -1)
    inversion = Inversion(
        method, make_objective(method, pixel="l2", perceptual=0), seed=0, steps=3, rate=None, batch_size=2
    )
    task = Completion("colourise", Grey(), grey, {"grey": grey})
    written = task.run(tmp_path, originals, inversion, space="codes")
    assert {line["arm"] for line in lines_of(written[1])} == {"grey", "raw", "completed"}
    assert "ssim" in lines_of(written[1])[0]
    with pytest.raises(ValueError, match="images with 3 channels, and this model draws 1"):
        colourise(Waves(), tmp_path, **FAST)


def test_a_median_is_that_of_scipy() -> None:
    images = torch.rand(2, 1, 7, 9, generator=torch.Generator().manual_seed(0))
    expected = [median_filter(image[0].numpy(), size=3, mode="nearest") for image in images]
    for found, one in zip(median_3x3(images), expected, strict=True):
        torch.testing.assert_close(found[0], torch.from_numpy(one))


def test_a_small_image_and_bicubic_of_it(method: Invertible, tmp_path: Path) -> None:
    lines = lines_of(enlarge(method, tmp_path, factor=2, **FAST)[1])
    originals = DATA.split("test")[0][:3]
    bicubic = F.interpolate(Reduced(2)(originals), size=(8, 8), mode="bicubic", align_corners=False).clamp(-1, 1)
    error = (to_uint8(bicubic).double() - to_uint8(originals).double()).square().mean(dim=(1, 2, 3))
    expected = (20 * torch.tensor(255.0).log10() - 10 * error.log10()).tolist()
    assert [line["psnr"] for line in lines[:3]] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError, match="cannot be reduced by 3"):
        enlarge(method, tmp_path, factor=3, **FAST)
    with pytest.raises(ValueError, match="space must be one of"):
        denoise(method, tmp_path, space="p", **FAST)
