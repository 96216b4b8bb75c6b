"""Every method on a GPU: it trains in float32 and in bfloat16, and what was trained there draws the same on a processor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from launch.checkpoint import load_method
from launch.compose import compose, group_options
from lightning_modules.base import Draws, Reconstructs
from tests.support.data_choice import data_for
from train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
METHODS = group_options("method")
SMALL = ("experiment=none", "datamodule.batch_size=16", "num_threads=1", "max_kimg=0.064", "save_every_kimg=0.032")
STEP = 2.0 / 255.0  # of a pixel in [-1, 1]


def trained(name: str, folder: Path, *overrides: str) -> dict[str, float]:
    chosen = [*SMALL, f"method={name}", data_for(f"method={name}"), "trainer=gpu", f"run_dir={folder}", *overrides]
    return train(compose("train", chosen))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", METHODS)
def test_trains_and_draws_as_on_a_processor(name: str, precision: str, tmp_path: Path) -> None:
    trained(name, tmp_path / "run", f"trainer.precision={precision}")
    path = str(tmp_path / "run" / "checkpoints" / "last.ckpt")
    here, _ = load_method(path)
    there = load_method(path)[0].to("cuda")
    assert here.images_seen == 64
    if isinstance(here, Draws) and isinstance(there, Draws):
        with torch.backends.cudnn.flags(allow_tf32=False):
            drawn = there.sample(0, 8, seed=0).cpu()
        assert float((here.sample(0, 8, seed=0) - drawn).abs().max()) < STEP
    if isinstance(here, Reconstructs) and isinstance(there, Reconstructs):
        images = torch.rand(4, *here.image_shape) * 2 - 1
        with torch.backends.cudnn.flags(allow_tf32=False):
            again = there.reconstruct(images.to("cuda")).cpu()
        assert float((here.reconstruct(images) - again).abs().max()) < STEP


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_is_the_uninterrupted_one(name: str, tmp_path: Path) -> None:
    exact = ("deterministic=warn", "callbacks.checkpoints.keep_every_kimg=0.032")
    trained(name, tmp_path / "whole", *exact)
    halfway = tmp_path / "whole" / "checkpoints" / "0.032kimg.ckpt"
    trained(name, tmp_path / "cut", *exact, f"resume={halfway}")
    whole, cut = (
        load_method(str(tmp_path / run / "checkpoints" / "last.ckpt"))[0].state_dict() for run in ("whole", "cut")
    )
    for key in whole:  # operations without a deterministic form sum in another order
        torch.testing.assert_close(whole[key], cut[key], rtol=1e-4, atol=1e-5)
