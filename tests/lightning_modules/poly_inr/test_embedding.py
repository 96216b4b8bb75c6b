"""The task `edit`: embedded images with samples."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from lightning_modules.poly_inr.embedding import edit
from lightning_modules.poly_inr.module import PolyINR
from tests.support.photos import write_photos

DATA = Digits(batch_size=8, seed=0)
FAST = {"seed": 0, "datamodule": DATA, "steps": 4}


def test_edit_with_images_of_another_set(method: PolyINR, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    before = {name: value.clone() for name, value in method.state_dict().items()}
    written = edit(
        method,
        tmp_path,
        images=str(folder),
        fit=True,
        levels=[1],
        frames=3,
        resolution=16,
        tuning_steps=2,
        **FAST,  # type: ignore[arg-type]
    )
    assert [path.name for path in written] == ["edit_interpolate.png", "edit_mix_levels_1.png"]
    assert Image.open(written[1]).size == (3 * 98 + 2, 3 * 98 + 2)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    with pytest.raises(ValueError, match="level 7 is out of range"):
        edit(method, tmp_path, levels=[7], **FAST)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="space must be one of z, w, affine, got 'p'"):
        edit(method, tmp_path, space="p", **FAST)  # type: ignore[arg-type]
