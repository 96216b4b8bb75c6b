"""Grids and files of samples, of a generator that draws its numbers and classes, and of Poly-INR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from datamodules.arrays import Arrays
from generative.rendering.files import ImageFiles, read_array
from generative.rendering.images import from_uint8, to_uint8
from launch.build import build
from launch.compose import compose, plain
from launch.generate.tasks import tasks_of
from lightning_modules.base import Draws
from lightning_modules.tasks import samples as module
from lightning_modules.tasks.grid import grid
from lightning_modules.tasks.samples import samples

# Half of the images are of class 2, a quarter of each other one.
SHARES = torch.tensor([2, 0, 2, 1] * 10)
GIVEN = {
    split: (torch.zeros(len(labels), 3, 4, 4), labels) for split, labels in (("train", SHARES), ("test", SHARES[:4]))
}
DATA = Arrays(**GIVEN, num_classes=3, batch_size=4, seed=0)


class Numbered(Draws):
    """Image k is grey level k in its first pixel and its class in all others."""

    def __init__(self, num_classes: int = 3, image_shape: tuple[int, int, int] = (3, 4, 4)) -> None:
        super().__init__(image_shape=image_shape, num_classes=num_classes, seed=0)
        self.run_config = {}
        self.batches: list[int] = []

    def sample(
        self, first: int, count: int, *, seed: int, labels: Tensor | None = None, image_size: int | None = None
    ) -> Tensor:
        self.batches.append(count)
        if labels is None:
            labels = self.balanced_labels(first, count)
        levels = torch.zeros(count, *self.image_shape, dtype=torch.uint8)
        if labels is not None:
            levels += labels.to(torch.uint8)[:, None, None, None]
        levels[:, :, 0, 0] = torch.arange(first, first + count).to(torch.uint8)[:, None]
        return from_uint8(levels)


def poly_inr(*overrides: str) -> Draws:
    torch.manual_seed(0)
    built = build(plain(compose("train", ["experiment=none", "run_dir=x", *overrides])))[1].eval()
    assert isinstance(built, Draws)
    return built


def read_back(path: Path) -> tuple[Tensor, Tensor | None]:
    """Images and labels in the order in which evaluate.py takes them."""
    if path.suffix == ".npz":
        return read_array(path)
    files = ImageFiles(path)
    return files.images(0, len(files)), files.labels()


@pytest.mark.parametrize("format", ["png", "npz", "zip"])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_files_hold_what_sample_draws(
    format: str, num_classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(module, "BATCH", 16)
    method = Numbered(num_classes)
    (path,) = samples(method, tmp_path, seed=0, datamodule=DATA, labels="balanced", count=50, format=format)
    assert method.batches == [16, 16, 16, 2], "a batch at a time, whatever their number"
    images, labels = read_back(path)
    assert images.equal(to_uint8(method.sample(0, 50, seed=0)))
    expected = method.balanced_labels(0, 50)
    assert labels is None if expected is None else expected.equal(labels)
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "nothing else is left"
    assert "50/50" in capsys.readouterr().err
    content = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ValueError, match=f"{path.name} is there already: choose another output="):
        samples(method, tmp_path, seed=1, datamodule=DATA, count=50, format=format)
    assert path.is_dir() or path.read_bytes() == content
    (again,) = samples(method, tmp_path / "again", seed=0, datamodule=DATA, labels="balanced", count=50, format=format)
    assert again.is_dir() or again.read_bytes() == content, "the same bytes every time"


def test_files_of_named_classes_and_other_sizes(tmp_path: Path) -> None:
    (path,) = samples(Numbered(), tmp_path, seed=0, datamodule=DATA, count=7, classes=[2, 0])
    assert sorted(str(file.relative_to(path)) for file in path.rglob("*.png")) == [
        *(f"0/{number:06d}.png" for number in (1, 3, 5)),
        *(f"2/{number:06d}.png" for number in (0, 2, 4, 6)),
    ]
    (path,) = samples(
        poly_inr(), tmp_path, seed=0, datamodule=DATA, labels="balanced", count=3, format="npz", resolution=12, psi=0.5
    )
    with np.load(path) as arrays:
        assert arrays["arr_0"].shape == (3, 12, 12, 1)
        assert arrays["arr_1"].tolist() == [0, 1, 2]


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Diverged(Numbered):
        def sample(self, first: int, count: int, **settings: object) -> Tensor:
            images = super().sample(first, count, seed=0)
            images[3] = torch.nan
            return images

    for format in ("png", "npz", "zip"):
        with pytest.raises(ValueError, match="sample number 3 has pixels that are not finite"):
            samples(Diverged(), tmp_path, seed=0, datamodule=DATA, count=8, format=format)
    assert not list(tmp_path.iterdir())
    (tmp_path / ".samples.zip.writing").touch()
    with pytest.raises(ValueError, match="is written by another process, or is what one that was killed has left"):
        samples(Numbered(), tmp_path, seed=0, datamodule=DATA, count=8, format="zip")
    assert (tmp_path / ".samples.zip.writing").exists()


def test_a_grid_of_any_generator_has_a_column_a_class(tmp_path: Path) -> None:
    (path,) = grid(Numbered(), tmp_path, seed=0, rows=2)
    assert path.name == "grid_4px.png"
    picture = np.array(Image.open(path))[:, :, 0]
    step, scale = 96 + 2, 96 // 4
    assert picture.shape == (2 * step + 2, 3 * step + 2)
    assert picture[2::step, 2::step][:2, :3].tolist() == [[0, 1, 2], [3, 4, 5]], "the samples in their order"
    assert picture[2 + scale :: step, 2::step][:2, :3].tolist() == [[0, 1, 2], [0, 1, 2]], "their classes"
    (path,) = grid(Numbered(0), tmp_path / "none", seed=0, rows=1)
    assert Image.open(path).width == 10 * step + 2
    (path,) = grid(Numbered(1000), tmp_path / "many", seed=0, rows=1)
    assert Image.open(path).width == 20 * step + 2, "not a thousand columns"


def test_psi_and_resolution_reach_the_generator(tmp_path: Path) -> None:
    method = poly_inr()
    method.averaged_generator.mapping.average.normal_()
    pictures = [
        np.array(Image.open(grid(method, tmp_path / str(seed), seed=seed, rows=1, psi=0.0, resolution=16)[0]))
        for seed in (0, 1)
    ]
    assert (pictures[0] == pictures[1]).all(), "psi = 0: the mean of the class, whatever the latent"
    assert len(np.unique(pictures[0])) > 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"format": "jpg"}, "format must be one of png, zip, npz, got 'jpg'"),
        ({"classes": [1, 3]}, "class 3 is out of range: this model has classes 0 to 2"),
        ({"classes": []}, "classes is empty"),
        ({"classes": 1, "labels": "data"}, "classes=1 and labels=data both say which classes"),
        ({"labels": "all"}, "labels must be data or balanced, got 'all'"),
        ({"resolution": 8}, "Numbered draws images of 4 pixels only: leave out resolution"),
        ({"psi": 0.5}, "Numbered has no mean to move towards: leave out psi"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        samples(Numbered(), tmp_path, seed=0, datamodule=DATA, **settings)
    assert not list(tmp_path.iterdir())


def test_unconditional_models_take_no_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this model is unconditional: leave out classes"):
        grid(Numbered(0), tmp_path, seed=0, classes=1)
    with pytest.raises(ValueError, match="this model is unconditional: leave out classes"):
        samples(Numbered(0), tmp_path, seed=0, datamodule=DATA, classes=1)


def test_classes_follow_the_data_unless_they_are_to_be_balanced(tmp_path: Path) -> None:
    def drawn(name: str, **settings: object) -> Tensor:
        (path,) = samples(Numbered(), tmp_path / name, seed=3, datamodule=DATA, count=40, format="npz", **settings)
        labels = read_array(path)[1]
        assert labels is not None
        return labels

    followed = drawn("data")
    assert followed.bincount().tolist() == [10, 10, 20]
    assert followed.equal(Numbered().label_cycle(SHARES, seed=3)), "those of evaluate.py"
    assert drawn("balanced", labels="balanced").bincount().tolist() == [14, 13, 13]

    class Lost(Arrays):
        def load(self, split: str) -> tuple[Tensor, Tensor]:
            raise ValueError("it is not there")

    lost = Lost(**GIVEN, num_classes=3, batch_size=4, seed=0)
    with pytest.raises(
        ValueError, match="labels=data needs the training labels: it is not there; labels=balanced does without"
    ):
        samples(Numbered(), tmp_path, seed=0, datamodule=lost)


def test_two_tasks_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_modules.tasks import topology

    def also_grid(method: Draws, output: Path, *, seed: int) -> list[Path]:
        return []

    also_grid.__module__ = topology.__name__
    monkeypatch.setattr(topology, "grid", also_grid, raising=False)
    with pytest.raises(
        ValueError,
        match=r"two tasks are called 'grid', in lightning_modules.tasks.grid and in lightning_modules.tasks.topology",
    ):
        tasks_of(Numbered())
