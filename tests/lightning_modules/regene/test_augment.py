"""Images of a class with the origin of each, by a method whose images are its latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generative.rendering.images import as_floats, from_uint8, read_png, to_uint8
from lightning_modules.regene.augment import augment, drawn, from_row, remake, version_of
from tests.support.banks import Data, Identity, identity

COUNT = 12
SHIFT = 100  # of places among all the training images


class PartOfData(Data):
    """Of the training images of a set, those from number 100 on."""

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        images, labels = super().split(name)
        return images.clamp(-1, 1), labels

    def places(self, name: str) -> Tensor:
        return torch.arange(len(self.split(name)[0])) + SHIFT


def augmented(folder: Path, method: Identity | None = None, **given: Any) -> tuple[Path, list[dict[str, Any]]]:
    settings = {"label": 1, "count": COUNT, "seed": 3, "datamodule": PartOfData()} | given
    images, table = augment(method or identity(PartOfData()), folder, **settings)  # type: ignore[arg-type]
    return images, [json.loads(line) for line in table.read_text().splitlines()]


@pytest.mark.parametrize("sampler", ["variance_2_filtered", "convex_3", "dirichlet_2", "smote_filtered", "training"])
def test_an_image_is_made_again_from_its_row(sampler: str, tmp_path: Path) -> None:
    """The row as it stands in the file, and nothing of the seed."""
    method = identity(PartOfData())
    images, rows = augmented(tmp_path, method, sampler=sampler)
    method.use_sampling(sampler)
    for row, (_, expected) in zip(rows, drawn(method, 1, COUNT, seed=3), strict=True):
        origin = {key: row[key] for key in ("image", "label", "members", "weights", "spread", "method")}
        again = from_row(method, origin)  # type: ignore[arg-type]
        assert torch.equal(to_uint8(again), expected)
        assert torch.equal(to_uint8(read_png(images.parent / row["image"]))[None], expected)
        found = method.sampled([row["number"]], torch.tensor([1]), seed=3)
        assert torch.equal(again, found.images), "to the last bit"
    (again_folder,) = remake(method, tmp_path, seed=0, rows=str(tmp_path / "augment_class1.jsonl"))  # type: ignore[arg-type]
    pairs = [(path.read_bytes(), (images / path.name).read_bytes()) for path in sorted(again_folder.iterdir())]
    assert len(pairs) == COUNT
    assert all(again == first for again, first in pairs)


def test_a_row_tells_where_its_image_comes_from(tmp_path: Path) -> None:
    method, data = identity(PartOfData()), PartOfData()
    _, rows = augmented(tmp_path, method)
    originals, labels = data.split("train")
    for number, row in enumerate(rows):
        assert (row["number"], row["image"], row["seed"]) == (number, f"1/{number:06d}.png", 3)
        sources = torch.tensor(row["parents"]) - SHIFT
        assert (labels[sources] == 1).all()
        weights = torch.tensor(row["weights"], dtype=torch.float64)
        mean = originals[labels == 1].double().mean(dim=0)
        combined = mean + row["spread"] * ((weights[:, None, None, None] * originals[sources]).sum(dim=0) - mean)
        image = from_row(method, row)[0]  # type: ignore[arg-type]
        torch.testing.assert_close(image.double(), combined, atol=1e-6, rtol=0)
        assert row["confidence"] == pytest.approx(float(torch.sigmoid(2.0 * image[0, 0, 0])), abs=1e-6)
        shown = from_uint8(to_uint8(image))
        distances = (0.5 * (shown - as_floats(originals))).square().mean(dim=(1, 2, 3)).sqrt()
        assert row["nearest_distance"] == pytest.approx(float(distances.min()), abs=1e-5)
        assert row["nearest"] - SHIFT == int(distances.argmin())
    tries = method.sampled(range(COUNT), torch.ones(COUNT, dtype=torch.long), seed=3).tries
    assert [row["try"] for row in rows] == tries.tolist()
    assert max(tries) > 0


def test_nothing_is_overwritten_and_another_class_may_follow(tmp_path: Path) -> None:
    augmented(tmp_path)
    with pytest.raises(ValueError, match=r"augment_class1\.jsonl is there already: choose another output=, or remove"):
        augmented(tmp_path)
    augmented(tmp_path, label=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "augment",
        "augment_class0.jsonl",
        "augment_class1.jsonl",
    ]
    assert sorted(path.name for path in (tmp_path / "augment").iterdir()) == ["0", "1"]


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="sampler gaussian makes latents that no single training images are the parents"
    ):
        augmented(tmp_path, sampler="gaussian")
    assert not list(tmp_path.rglob("*.*")), "nothing is left of it"
    with pytest.raises(ValueError, match="class 2 is out of range: this model has classes 0 to 1"):
        augmented(tmp_path, label=2)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        augmented(tmp_path, count=0)
    method = identity(PartOfData())
    with pytest.raises(ValueError, match=r"there is no file nowhere: rows= is augment_class<label>\.jsonl"):
        remake(method, tmp_path, seed=0, rows="nowhere")  # type: ignore[arg-type]
    (tmp_path / "other.jsonl").write_text('{"image": "0"}\n')
    with pytest.raises(ValueError, match=r"other\.jsonl holds no rows of task=augment"):
        remake(method, tmp_path, seed=0, rows=str(tmp_path / "other.jsonl"))  # type: ignore[arg-type]


def test_a_row_is_of_one_bank_and_one_network(tmp_path: Path) -> None:
    method, other = identity(PartOfData()), identity()  # whose images are not clamped
    _, rows = augmented(tmp_path, method)
    assert version_of(method) == rows[0]["method"] != version_of(other)
    with pytest.raises(ValueError, match=f"was made by weights and a bank of hash {rows[0]['method']}, and these have"):
        from_row(other, rows[0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give the checkpoint that task=augment was given"):
        remake(other, tmp_path, seed=0, rows=str(tmp_path / "augment_class1.jsonl"))  # type: ignore[arg-type]
