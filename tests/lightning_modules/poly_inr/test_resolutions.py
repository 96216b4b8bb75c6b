"""The scored upsampling of Table 6.3, on a data set of two sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from datamodules.arrays import Arrays
from datamodules.digits import Digits
from generative.rendering.images import to_uint8
from generative.rendering.upsampling import upsample
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.resolutions import candidates, upsample_scored
from metrics.samples import in_turn

FEW = {"seed": 0, "resolution": 16, "count": 40, "extractors": ["pixels"]}


class TwoSizes(Arrays):
    """Digits, and the same upsampled bilinearly as the larger originals."""

    def __init__(self, resolution: int = 8) -> None:
        images, labels = Digits(batch_size=8, seed=0).split("train")
        large = upsample(images[:60], resolution, method="bilinear")
        rows = (to_uint8(large), labels[:60])
        super().__init__(train=rows, test=rows, num_classes=10, batch_size=8, seed=0)

    def at_resolution(self, resolution: int) -> TwoSizes:
        return TwoSizes(resolution)


def test_table(method: PolyINR, tmp_path: Path) -> None:
    written = upsample_scored(method, tmp_path, datamodule=TwoSizes(), **FEW)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in written[0].read_text().splitlines()]
    assert [row["images"] for row in rows] == [
        "Poly-INR", "Poly-INR, nearest", "Poly-INR, bilinear", "Poly-INR, bicubic", "Poly-INR, lanczos", "real, bicubic",
    ]  # fmt: skip
    assert rows[-1]["fd"] < 0.1 * rows[0]["fd"], "the real images' own, but for the interpolation"
    assert rows[-1]["recall"] == 1
    assert "real, bicubic" in written[1].read_text()
    again = upsample_scored(method, tmp_path, datamodule=TwoSizes(), **FEW)  # type: ignore[arg-type]
    assert [json.loads(line) for line in again[0].read_text().splitlines()] == rows
    assert {row["labels"] for row in rows} == {"data"}


def test_all_candidates_show_the_same_codes(method: PolyINR) -> None:
    small = TwoSizes().split("train")[0]
    batches = candidates(method, small, resolution=15, seed=0)

    def at(name: str) -> Tensor:
        return batches[name](3, 4)

    native = method.sample(3, 4, seed=0)
    for name in ("Poly-INR", "Poly-INR, nearest", "Poly-INR, bilinear", "Poly-INR, bicubic", "Poly-INR, lanczos"):
        torch.testing.assert_close(at(name)[..., ::2, ::2], native, rtol=1e-4, atol=1e-4)  # corners on corners
    torch.testing.assert_close(to_uint8(at("real, bicubic")[..., ::2, ::2]), small[3:7])


def test_all_candidates_are_asked_for_the_same_classes(method: PolyINR) -> None:
    cycle = method.label_cycle(torch.tensor([7, 7, 1]), seed=0)  # none of the unconditional
    batches = candidates(method, TwoSizes().split("train")[0], cycle, resolution=15, seed=0)
    native = method.sample(3, 4, seed=0, labels=in_turn(cycle, 3, 4))
    for name in ("Poly-INR", "Poly-INR, nearest"):
        torch.testing.assert_close(batches[name](3, 4)[..., ::2, ::2], native, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_scored(method: PolyINR, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="digits has images of 8 x 8 pixels only: give a model of a data set that"):
        upsample_scored(method, tmp_path, datamodule=Digits(batch_size=8, seed=0), **FEW)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="resolution must be above that of the model, 8, got 8"):
        upsample_scored(method, tmp_path, seed=0, datamodule=TwoSizes(), resolution=8)
    with pytest.raises(ValueError, match="labels must be data or balanced, got 'even'"):
        upsample_scored(method, tmp_path, seed=0, datamodule=TwoSizes(), resolution=16, labels="even")
    with pytest.raises(ValueError, match="count must be at most 60"):
        upsample_scored(method, tmp_path, seed=0, datamodule=TwoSizes(), resolution=16, count=61)
