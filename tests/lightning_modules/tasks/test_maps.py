"""Maps of classifiers, alone, compared and under corruptions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_modules.tasks.maps import maps, maps_compared, maps_corrupted
from tests.support.classifiers import data, dgm, resnet


def test_tasks_write_pictures(tmp_path: Path) -> None:
    method = dgm()
    (path,) = maps(method, tmp_path, seed=0, datamodule=data(), count=2)
    three_levels = dgm("method.backbone.blocks=[1,1,1]")
    (wider,) = maps(three_levels, tmp_path / "3", seed=0, datamodule=data(), count=2, opacity=0.5)
    assert Image.open(wider).width > Image.open(path).width
    (of_grad_cam,) = maps(resnet(), tmp_path / "other", seed=0, datamodule=data(), count=2)
    assert Image.open(of_grad_cam).width < Image.open(path).width, "one map an image, of the two levels of a DGM"
    (path,) = maps_compared(method, tmp_path, seed=0, datamodule=data(), baselines=[resnet()], count=2)
    assert np.array(Image.open(path)).std() > 0


def test_maps_under_corruptions(tmp_path: Path) -> None:
    pytest.importorskip("imagecorruptions")
    written = maps_corrupted(dgm(), tmp_path, seed=0, datamodule=data(), baselines=[resnet()], count=2)
    assert [path.name for path in written] == [f"maps_corrupted_regenerated.{kind}" for kind in ("png", "jsonl")]
    rows = [json.loads(line) for line in written[1].read_text().splitlines()]
    assert [row["images"] for row in rows[::2]] == ["clean", "defocus_blur 3, regenerated", "fog 3, regenerated"]
    assert rows[0]["correlation_with_clean"] == pytest.approx(1, abs=1e-5)
    assert rows[2]["correlation_with_clean"] < 0.999
    assert rows[2]["corrupted_by"].startswith("imagecorruptions-imaug ")
    with pytest.raises(ValueError, match="did you mean 'fog'"):
        maps_corrupted(dgm(), tmp_path, seed=0, datamodule=data(), corruptions=["fogg"], count=2)


def test_corrupted_images_are_functions_of_their_number() -> None:
    pytest.importorskip("imagecorruptions")
    asked = {"corruption": "gaussian_noise", "severity": 2, "seed": 1}
    some = data().corrupted("test", torch.tensor([7, 2]), **asked)
    assert torch.equal(data().corrupted("test", torch.tensor([2]), **asked), some[1:])
    assert not torch.equal(some[1], data().split("test")[0][2])
