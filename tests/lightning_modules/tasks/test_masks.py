"""The picture of masks and predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generate import generate
from generative.randomness import permutation
from generative.rendering.masks import NO_CLASS, NO_CLASS_COLOUR, palette
from launch.checkpoint import load_method
from launch.compose import compose
from launch.generate.tasks import find_task
from lightning_modules.tasks.masks import shown_classes


def test_classes_that_are_shown() -> None:
    truth, predicted = torch.tensor([[[2, NO_CLASS]]]), torch.tensor([[[0, 2]]])
    colours = [tuple(colour) for colour in palette(4).tolist()]
    assert shown_classes(("ground", "cat", "dog", "sky"), truth, predicted) == [
        ("ground", colours[0]), ("dog", colours[2]), ("no class", NO_CLASS_COLOUR),
    ]  # fmt: skip


def test_the_picture_of_masks(small_run: Callable, tmp_path: Path) -> None:
    folder, _ = small_run("method=dgm_segmentation", "max_kimg=0.016")
    checkpoint = folder / "checkpoints" / "last.ckpt"
    settings = [f"checkpoint={checkpoint}", f"output={tmp_path / 'out'}", "task=masks", "+options.count=2"]
    first, same, other = (
        np.array(Image.open(generate(compose("generate", [*settings, f"seed={seed}"]))[0])) for seed in (0, 0, 1)
    )
    assert (first == same).all()
    assert first.shape != other.shape or (first != other).any()
    built, datamodule = load_method(checkpoint)
    truth = datamodule.rows("test")["mask"][torch.from_numpy(permutation(0, 0, 359)[:2].copy())]
    above_the_legend = first[: 20 + 2 * 98 + 2]
    for number in truth.unique().tolist():
        colour = NO_CLASS_COLOUR if number == NO_CLASS else tuple(palette(11)[number].tolist())
        assert (above_the_legend == colour).all(axis=2).sum() >= 12 * 12 * int((truth == number).sum()), number
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        find_task(built, "masks")(built, tmp_path, seed=0, datamodule=datamodule, count=0)
