"""The task `reconstruct`, of a method that forgets every other row of an image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from datamodules.digits import Digits
from generative.rendering.images import to_uint8
from lightning_modules.base import Reconstructs
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.reconstruction import reconstruct
from metrics.quality import ReconstructionQuality

DATA = Digits(batch_size=8, seed=0)


class EveryOtherRow(Reconstructs):
    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        assert labels.shape == images.shape[:1]
        return images[:, :, ::2].repeat_interleave(2, dim=2)


METHOD = EveryOtherRow(image_shape=(1, 8, 8), num_classes=10, seed=0)


def test_originals_stand_above_what_is_made_of_them(tmp_path: Path) -> None:
    written = reconstruct(METHOD, tmp_path, seed=3, datamodule=DATA, count=12, batch_size=5)
    assert [path.name for path in written] == ["reconstruct.png", "reconstruct.jsonl"]
    originals = to_uint8(held_out(DATA, some_numbers(DATA, 12, seed=3))[0])
    again = originals[:, :, ::2].repeat_interleave(2, dim=2)
    picture, step = np.array(Image.open(written[0])), 98
    assert picture.shape == (4 * step + 2, 10 * step + 2)
    for row, column, expected in ((0, 4, originals[4]), (1, 4, again[4]), (2, 1, originals[11]), (3, 1, again[11])):
        top, left = 2 + row * step, 2 + column * step
        assert np.array_equal(picture[top : top + 96 : 12, left : left + 96 : 12], expected[0].numpy())
    quality = ReconstructionQuality(metrics=["psnr"])
    quality.update(again, originals)
    line = json.loads(written[1].read_text())
    assert line["images"] == 12
    assert line["psnr"] == pytest.approx(quality.compute()["psnr"], rel=1e-5)


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count must be between 1 and 359"):
        reconstruct(METHOD, tmp_path, seed=0, datamodule=DATA, count=360)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        reconstruct(METHOD, tmp_path, seed=0, datamodule=DATA, batch_size=0)
