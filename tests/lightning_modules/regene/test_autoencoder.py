"""A classifier's latents against an autoencoder's, by methods whose latents are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generative.rendering.images import pixel_scale, read_png
from lightning_modules.regene.autoencoder import (
    against_autoencoder,
    linear_accuracy,
    reconstruction_error,
    taught_images,
    the_autoencoder,
)
from tests.support.banks import Data, Identity

GIVEN: dict[str, Any] = {"seed": 0, "label": 1, "frames": 3, "count": 30, "perplexity": 5.0}


class Right(Data):
    """Every image is on the side of its class."""

    name = "right"

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        images, labels = super().split(name)
        images[:4, 0, 0, 0] *= -1.0
        return images, labels


class Made(Identity):
    """It makes an image again as ``off`` less than it is; its latents lack the first number where it is ``blind``."""

    def __init__(self, *, joint: float | None, off: float = 0.0, blind: bool = False) -> None:
        super().__init__()
        self.joint, self.off, self.blind = joint, off, blind

    def features(self, images: Tensor) -> Tensor:
        latents = images.flatten(1).clone()
        latents[:, 0] *= not self.blind
        return latents

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return images - self.off


def test_both_and_the_pixels_are_told_apart(tmp_path: Path) -> None:
    method, other = Made(joint=None, off=0.2), Made(joint=0, off=0.5, blind=True)
    found = against_autoencoder(method, tmp_path, datamodule=Right(), autoencoder=[other], **GIVEN)  # type: ignore[arg-type, list-item]
    walk, plane, lines, table = found
    rows = {row["space"]: row for row in map(json.loads, lines.read_text().splitlines())}
    assert list(rows) == ["classifier", "autoencoder", "pixels"]
    assert rows["classifier"]["linear_accuracy"] == rows["pixels"]["linear_accuracy"] > 0.9
    assert rows["autoencoder"]["linear_accuracy"] < 0.8, "what tells the class is not in its latents"
    assert rows["classifier"]["mae"] == pytest.approx(0.1, abs=1e-6)
    assert rows["autoencoder"]["mae"] == pytest.approx(0.25, abs=1e-6)
    assert rows["pixels"]["mae"] is None
    assert all(row["taught"] == 40 for row in rows.values())
    assert "| autoencoder | " in table.read_text()
    assert read_png(plane).ndim == 3
    scale = pixel_scale(2)
    assert read_png(walk).shape[1] == 2 * (20 + 2 * scale + 4 + 8), "a row a model"


def test_a_linear_layer_learns_what_is_linear() -> None:
    rows = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    labels = (rows[:, 0] + rows[:, 1] > 0).long()
    assert linear_accuracy((rows[:100], labels[:100]), (rows[100:], labels[100:])) > 0.95
    assert linear_accuracy((rows[:100], labels[:100]), (rows[100:], 1 - labels[100:])) < 0.05


def test_an_error_is_a_share_of_the_range() -> None:
    images = torch.zeros(300, 1, 2, 2)
    assert reconstruction_error(Made(joint=0, off=2.0), images) == pytest.approx(1.0)  # type: ignore[arg-type]
    assert reconstruction_error(Made(joint=0), images) == 0.0  # type: ignore[arg-type]


def test_some_training_images_teach_each_once() -> None:
    images, labels = taught_images(Right(), 15, seed=0)  # type: ignore[arg-type]
    whole, classes = Right().split("train")
    places = [(whole == image).flatten(1).all(dim=1).nonzero().item() for image in images]
    assert len(set(places)) == 15
    assert torch.equal(labels, classes[torch.tensor(places)])
    assert len(taught_images(Right(), 1000, seed=0)[1]) == 40  # type: ignore[arg-type]


def test_what_is_no_autoencoder_of_these_images_is_refused(tmp_path: Path) -> None:
    method = Made(joint=None)
    for given, message in (
        (None, r"takes one other checkpoint, got 0: give autoencoder=<last\.ckpt of a run of .*method\.joint=0"),
        ([method], r"given as autoencoder has joint=None, so its latents were learned from classes: .*method\.joint=0"),
        ([Made(joint=1.0)], r"given as autoencoder has joint=1\.0, so its latents were learned"),
    ):
        with pytest.raises(ValueError, match=message):
            the_autoencoder(method, given)  # type: ignore[arg-type]
    larger = Made(joint=0)
    larger.image_shape = (1, 4, 4)
    with pytest.raises(ValueError, match=r"autoencoder takes images \(1, 4, 4\), and the checkpoint \(1, 2, 2\)"):
        the_autoencoder(method, [larger])  # type: ignore[arg-type, list-item]
    with pytest.raises(ValueError, match="class 2 has 0 test images, and a walk takes two: choose another label"):
        against_autoencoder(
            method,  # type: ignore[arg-type]
            tmp_path,
            datamodule=Right(),  # type: ignore[arg-type]
            autoencoder=[Made(joint=0)],  # type: ignore[list-item]
            **(GIVEN | {"label": 2}),
        )
