"""The tasks of every generator and every critic, on critics and generators whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from datamodules.arrays import Arrays
from datamodules.digits import Digits
from generative.rendering.images import to_uint8
from launch.build import build
from launch.compose import compose, plain
from launch.generate.tasks import tasks_of
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.tasks.separation import auroc, scores, separation
from lightning_modules.tasks.topology import compare_counts, topology

DATA = Digits(batch_size=8, seed=0)


class Fixed(nn.Module):
    """Scores images by a function of each."""

    def __init__(self, score: object, group_size: int) -> None:
        super().__init__()
        self.score, self.group_size = score, group_size

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        assert len(images) % max(1, self.group_size) == 0
        return self.score(images)  # type: ignore[operator]


def method(*overrides: str) -> PolyINR:
    torch.manual_seed(0)
    built = build(plain(compose("train", ["experiment=none", "run_dir=x", *overrides])))[1].eval()
    assert isinstance(built, PolyINR)
    return built


def with_critic(score: object, group_size: int = 4) -> PolyINR:
    tested = method()
    tested.critic = Fixed(score, group_size)
    return tested


def line_of(path: Path) -> dict[str, float]:
    return json.loads(path.read_text().splitlines()[0])


def test_they_are_offered_to_every_method_of_their_kind() -> None:
    assert {"topology", "separation", "grid", "samples"} <= tasks_of(method()).keys()
    classifier = build(plain(compose("train", ["experiment=none", "run_dir=x", "method=classifier"])))[1]
    assert not {"topology", "separation", "grid", "samples"} & tasks_of(classifier).keys()


def test_a_critic_of_brightness_sees_no_order(tmp_path: Path) -> None:
    # In eighths, exact whatever the order of the sum.
    blind = with_critic(lambda images: (images.double() * 8).round().sum(dim=(1, 2, 3)))
    line = line_of(separation(blind, tmp_path, seed=0, datamodule=DATA, count=30)[0])
    assert line["auroc"] == 0.5
    assert line["pairs"] == 0.5
    assert line["num_images"] == 30
    assert line["orders"] == 23


def test_a_critic_that_knows_the_images_separates_them(tmp_path: Path) -> None:
    """All but the few whose parts are alike, which another order leaves as they are."""
    stored, _ = DATA.split("test")
    known = {image.numpy().tobytes() for image in to_uint8(stored)}

    def score(images: Tensor) -> Tensor:
        return torch.tensor([float(image.numpy().tobytes() in known) for image in to_uint8(images)])

    written = separation(with_critic(score), tmp_path, seed=0, datamodule=DATA)
    assert line_of(written[0])["auroc"] > 0.99
    assert [path.name for path in written] == ["separation.jsonl", "separation.png"]
    worst = separation(with_critic(lambda images: -score(images)), tmp_path, seed=0, datamodule=DATA)
    assert line_of(worst[0])["pairs"] < 0.01


def test_groups_are_filled_and_order_is_kept() -> None:
    images = DATA.split("test")[0][:7]
    first_pixels = with_critic(lambda images: images[:, 0, 3, 3], group_size=4)
    assert scores(first_pixels, images, torch.zeros(7, dtype=torch.long)).tolist() == images[:, 0, 3, 3].tolist()


def test_auroc_of_large_logits() -> None:
    assert auroc(torch.tensor([1000.0, 2000.0]), torch.tensor([999.0, 1500.0])) == 0.75
    assert auroc(torch.tensor([-1e4, -2e4]), torch.tensor([-1e5, -2e5])) == 1.0
    assert auroc(torch.ones(3), torch.ones(5)) == 0.5


def test_baselines_are_of_the_same_data(tmp_path: Path) -> None:
    other = method("datamodule=cifar10")
    with pytest.raises(ValueError, match="compare models of the same data"):
        separation(method(), tmp_path, seed=0, datamodule=DATA, baselines=[other])
    both = separation(method(), tmp_path, seed=0, datamodule=DATA, baselines=[method()], count=8)[0]
    first, second = (json.loads(line) for line in both.read_text().splitlines())
    assert first == second


class Copies(PolyINR):
    """Draws the training images of the class asked for."""

    def sample(
        self, first: int, count: int, *, seed: int, labels: Tensor | None = None, image_size: int | None = None
    ) -> Tensor:
        images, own = DATA.split("train")
        assert labels is not None
        of_class = images[own == labels[0]]
        return of_class[torch.arange(first, first + count) % len(of_class)]


def test_copies_have_the_topology_of_the_images(tmp_path: Path) -> None:
    copies = method()
    copies.__class__ = Copies
    written = topology(copies, tmp_path, seed=0, datamodule=DATA)
    assert [path.name for path in written] == ["topology.jsonl", "topology.md", "topology.png"]
    *classes, mean = [json.loads(line) for line in written[0].read_text().splitlines()]
    assert [line["class"] for line in classes] == list(range(10))
    # Half of the images drawn are among those compared with: the variance of the difference halves.
    assert mean["distance"] == pytest.approx(mean["floor"] / 2**0.5, rel=0.15)
    for line in classes:
        assert line["real_holes"] == line["generated_holes"]
    assert classes[0]["commonest"] == [1, 1]
    assert classes[1]["commonest"] == [1, 0]
    assert classes[8]["real_holes"] > 1 > classes[1]["real_holes"]
    untrained = topology(method(), tmp_path, seed=0, datamodule=DATA)[0]
    assert json.loads(untrained.read_text().splitlines()[-1])["distance"] > 2 * mean["floor"]


def test_counts_of_one_class() -> None:
    real = torch.tensor([[1, 2]] * 3 + [[1, 1]])
    found = compare_counts(torch.tensor([[2, 0]] * 4), real, seed=0)
    assert found["commonest"] == [1, 2]
    assert found["real_commonest"] == 0.75
    assert (found["real_holes"], found["generated_holes"], found["generated_pieces"]) == (1.75, 0, 2)
    assert found["distance"] == 1
    assert found["floor"] == pytest.approx(0.5, abs=0.01), "halves of two differ by one of two"


def test_what_has_no_classes_or_colours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this model is unconditional"):
        topology(method("method.conditional=false"), tmp_path, seed=0, datamodule=DATA)
    rows = (torch.zeros(20, 3, 8, 8, dtype=torch.uint8), torch.arange(20) % 10)
    colours = Arrays(train=rows, test=rows, num_classes=10, batch_size=4, seed=0)
    with pytest.raises(ValueError, match="these images have 3 channels"):
        topology(method(), tmp_path, seed=0, datamodule=colours)
    with pytest.raises(ValueError, match="enlarge must be at least 1"):
        topology(method(), tmp_path, seed=0, datamodule=DATA, enlarge=0)
