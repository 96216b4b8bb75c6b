"""Which tasks a method is offered, and what the command line names for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from generate import generate
from generative.errors import PartlyDone
from launch import checkpoint
from launch.build import build
from launch.compose import compose, plain
from launch.generate import tasks
from launch.generate.tasks import find_task, load_named, tasks_of
from lightning_modules.base import Classifies, Draws, HasMaps, Method
from lightning_modules.classification import Classification
from tests.support.classifiers import data, dgm, resnet
from tests.support.layouts import write_voc

OF_GENERATORS = {"grid", "samples", "stages", "topology"}
OF_CLASSIFIERS = {"shape"}
OF_MAPS = {"maps", "maps_compared", "maps_corrupted", "maps_scored"}
FACTS = {"image_shape": (3, 8, 8), "num_classes": 3, "seed": 0}


class Paints(Draws):
    """Image k is of one colour, its class."""

    def sample(
        self, first: int, count: int, *, seed: int, labels: Tensor | None = None, image_size: int | None = None
    ) -> Tensor:
        chosen = self.balanced_labels(first, count) if labels is None else self.check_labels(labels, count=count)
        assert chosen is not None
        return (chosen - 1.0)[:, None, None, None].expand(-1, *self.image_shape)


class Names(Classifies):
    """An image's class is its mean colour."""

    num_features = 1

    def features(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None]

    def classify(self, features: Tensor) -> Tensor:
        return -(features - torch.tensor([-1.0, 0.0, 1.0])).abs()


class PaintsAndNames(Paints, Names):
    """A method of two capabilities, neither of which it knows any task of."""


class Points(Names, HasMaps):
    """It looks where an image is bright."""

    kind_of_map = "brightness"

    def heatmaps(self, images: Tensor, classes: Tensor) -> list[Tensor]:
        return [images.mean(dim=1)]


def test_each_capability_brings_its_tasks() -> None:
    assert tasks_of(Method(**FACTS)).keys() == set()
    assert tasks_of(Paints(**FACTS)).keys() == OF_GENERATORS
    assert tasks_of(Names(**FACTS)).keys() == OF_CLASSIFIERS
    assert tasks_of(PaintsAndNames(**FACTS)).keys() == OF_GENERATORS | OF_CLASSIFIERS
    assert tasks_of(Points(**FACTS)).keys() == OF_CLASSIFIERS | OF_MAPS


def test_what_is_offered_works(tmp_path: Path) -> None:
    method = PaintsAndNames(**FACTS)
    (path,) = find_task(method, "grid")(method, tmp_path, seed=0, rows=2)
    assert np.unique(np.array(Image.open(path))).tolist() == [0, 40, 128, 255], "three colours and the gaps"
    images = data(size=8)
    table = find_task(method, "shape")(method, tmp_path, seed=0, datamodule=images, count=6)[1]
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert {row["model"] for row in rows} == {"PaintsAndNames"}
    of_patches = {row["accuracy"] for row in rows if row["test"] == "patches"}
    assert len(of_patches) == 1, "a mean does not know where a patch lies"
    pointing = Points(**FACTS)
    compared = find_task(pointing, "maps_compared")
    (path,) = compared(pointing, tmp_path, seed=0, datamodule=images, baselines=[Points(**FACTS)], count=2)
    assert np.array(Image.open(path)).std() > 0


def save(method: Classification, path: Path) -> str:
    content = {"config": method.run_config, "state_dict": method.state_dict(), "images_seen": 8}
    torch.save(content, path)
    return str(path)


def test_generate_loads_what_a_task_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_voc(tmp_path / "voc2012" / "VOC2012", per_split=3)
    monkeypatch.setenv("POLYMORPH_DATA", str(tmp_path))
    own, other = save(dgm(), tmp_path / "own.ckpt"), save(resnet(), tmp_path / "other.ckpt")
    asked = [f"checkpoint={own}", "task=maps_scored", "output=out", "+options.masked=voc2012", "+options.count=3"]
    written = generate(compose("generate", [*asked, f"+options.baselines=[{other}]"]))
    assert [Path(path).name for path in written] == ["maps_scored.jsonl", "maps_scored.md"]
    rows = [json.loads(line) for line in Path(written[0]).read_text().splitlines()]
    assert [row["map"] for row in rows] == ["none", "none", "moments", "Grad-CAM"]
    one = load_named(find_task(dgm(), "maps_compared"), {"baselines": other}, device="cpu")["baselines"]
    assert [type(method).__name__ for method in one] == ["Classifier"], "a single one needs no list"
    for wrong, complaint in (
        ("masked=voc", "'voc' is neither a file, a folder nor a data module; did you mean 'voc2012'"),
        ("masked=3", "masked must be of type str, got 3"),
        ("baselines=[nowhere.ckpt]", "there is no checkpoint nowhere.ckpt"),
        ("baselines=3", "baselines must be of type list or str, got 3"),
    ):
        changed = [setting for setting in asked if setting.split("=")[0] != f"+options.{wrong.split('=')[0]}"]
        with pytest.raises(ValueError, match=complaint):
            generate(compose("generate", [*changed, f"+options.{wrong}"]))


def test_generate_refuses_a_baseline_of_another_kind(tmp_path: Path) -> None:
    painter = build(plain(compose("train", ["experiment=none", "run_dir=x"])))[1]
    path = save(painter, tmp_path / "painter.ckpt")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"baselines takes checkpoints of kind HasMaps, and .* is a PolyINR"):
        load_named(find_task(dgm(), "maps_compared"), {"baselines": path}, device="cpu")


def test_what_was_partly_done_has_its_record_and_fails_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    method = Paints(**FACTS)
    method.run_config = plain(compose("train", ["experiment=none", "run_dir=x"]))

    def partly(method: Method, output: Path, *, seed: int) -> list[Path]:
        raise PartlyDone("1 of 2 images could not be filled", [output / "lines.jsonl"])

    monkeypatch.setattr(checkpoint, "load_method", lambda path, device: (method, None))
    monkeypatch.setattr(tasks, "find_task", lambda method, name: partly)
    with pytest.raises(PartlyDone, match="1 of 2 images"):
        generate(compose("generate", ["checkpoint=x", "task=grid", f"output={tmp_path}"]))
    assert json.loads((tmp_path / "grid.json").read_text())["files"] == ["lines.jsonl"]
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "lines.jsonl")]
