"""The detector as a method: what a batch gives it, whose weights it starts from, how several ranks test it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.digit_boxes import DigitBoxes
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.classifier.networks import Backbone as Classifier
from lightning_modules.detector.module import Detector, objects_of
from metrics.features import EfficientNetLite
from tests.support.ranks import fit, on_ranks

LITE = (
    "method.network.backbone.architecture=efficientnet_lite0",
    "method.network.backbone.normalization=frozen",
    "method.network.backbone.pretrained=true",
)


def detector(*overrides: str, datamodule: str = "digit_boxes") -> Detector:
    torch.manual_seed(0)
    chosen = ["experiment=none", "method=detector", f"datamodule={datamodule}", "run_dir=run"]
    built = build(plain(compose("train", [*chosen, *overrides])))[1]
    assert isinstance(built, Detector)
    return built


def batch(**changes: Any) -> dict[str, Any]:
    boxes = torch.tensor([[[1.0, 1, 9, 9], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    return {"boxes": boxes, "box_label": torch.tensor([[2, -1], [-1, -1]])} | changes


def test_rows_without_a_class_are_no_objects() -> None:
    first, second = objects_of(batch(), 3)
    assert first["boxes"].tolist() == [[1, 1, 9, 9]]
    assert first["labels"].tolist() == [2]
    assert (second["boxes"].shape, second["labels"].shape) == ((0, 4), (0,))
    assert second["labels"].dtype == torch.int64


def test_what_it_cannot_train_on_says_so() -> None:
    with pytest.raises(
        ValueError, match="a box is of class 2, and the data name 2 classes: give boxes of the classes 0 to 1"
    ):
        objects_of(batch(), 2)
    with pytest.raises(
        ValueError, match="the data have no boxes to detect by: choose a datamodule such as defect_crops"
    ):
        objects_of({"image": torch.zeros(1)}, 2)
    with pytest.raises(ValueError, match="the data have no boxes to detect by"):
        detector(datamodule="digits")
    with pytest.raises(
        ValueError, match=r"images of 32 x 32 pixels are smaller than the smallest anchor, 40: give larger"
    ):
        detector("method.network.anchor_sizes=[[40],[80]]")


def saved(method: torch.nn.Module, path: Path, *, name: str = "network") -> str:
    """As a run keeps a network and its average."""
    state = {
        f"{part}.{key}": value for part in (name, f"averaged_{name}") for key, value in method.state_dict().items()
    }
    torch.save({"state_dict": state, "config": {"method": {}}}, path)
    return str(path)


def start(method: Detector) -> None:
    method.on_fit_start()


def test_it_starts_from_another_detector_of_as_many_classes(tmp_path: Path) -> None:
    trained = detector()
    with torch.no_grad():
        trained.network.heads.box_predictor.cls_score.bias.fill_(3.0)  # type: ignore[union-attr, operator]
    weights = saved(trained.network, tmp_path / "last.ckpt")
    started = detector(f"method.weights={weights}")
    start(started)
    for network in (started.network, started.averaged_network):
        assert all(torch.equal(value, network.state_dict()[key]) for key, value in trained.network.state_dict().items())
    fewer = detector(f"method.weights={weights}")
    fewer.num_classes, fewer.target_classes = 2, ("open", "short")
    with pytest.raises(
        ValueError, match=r"last.ckpt knows 10 classes and the data have 2 \(open, short\): give data of its"
    ):
        start(fewer)


def test_it_starts_from_the_trunk_of_a_classifier(tmp_path: Path) -> None:
    torch.manual_seed(3)
    classifier = Classifier(architecture="mobilenet_v3_small", image_channels=3, num_classes=5, normalization="group")
    weights = saved(classifier, tmp_path / "last.ckpt")
    started = detector(f"method.weights={weights}", "method.network.backbone.architecture=mobilenet_v3_small")
    start(started)
    for network in (started.network, started.averaged_network):
        body = network.backbone.body.state_dict()
        assert body
        taken = classifier.trunk.state_dict()
        assert all(torch.equal(value, taken[f"features.{key}"]) for key, value in body.items())
    other = detector(f"method.weights={weights}")
    with pytest.raises(
        ValueError, match=r"does not fit method.network.backbone, it lacks .*: give the network.backbone"
    ):
        start(other)


def test_imagenets_weights_come_with_the_start_of_a_run() -> None:
    """Not with its continuation, whose checkpoint has weights of its own."""
    built, theirs = detector(*LITE), EfficientNetLite(0).network.state_dict()
    name = "blocks.2.1.conv_pw.weight"
    assert not torch.equal(built.network.backbone.body.state_dict()[name], theirs[name])
    resumed = detector(*LITE)
    resumed.images_seen = 8
    start(resumed)
    assert not torch.equal(resumed.network.backbone.body.state_dict()[name], theirs[name])
    start(built)
    for network in (built.network, built.averaged_network):
        assert all(torch.equal(value, theirs[key]) for key, value in network.backbone.body.state_dict().items())
    shown = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    lite = EfficientNetLite(0, side=64)
    with torch.no_grad():
        expected = lite.network.forward_intermediates(shown, intermediates_only=True, indices=[1, 2, 3, 4])
        for ours, other in zip(built.network.train().backbone.body(shown), expected, strict=True):
            torch.testing.assert_close(ours, other, rtol=1e-3, atol=1e-4)


def results_of_a_rank(rank: int, num_ranks: int, folder: Path) -> None:
    _, built, trainer = fit(
        "method=detector", "datamodule.batch_size=16", "method.optimizer.lr=0.01", num_steps=6, num_ranks=num_ranks
    )
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    data.arrays["test"] = tuple(part[:41] for part in data.split("test"))
    data.drawn["test"] = tuple(part[:41] for part in data.drawn["test"])
    trainer.test(built, data, verbose=False)
    assert isinstance(built, Detector)
    numbers = [image.number for image in built.tested]
    torch.save((numbers, built.test_results()["detection"]), folder / f"{num_ranks}_{rank}")


def test_two_ranks_test_what_one_does(tmp_path: Path) -> None:
    """41 images are 21 and 20; in float64, so that no score changes places."""
    processes = on_ranks(2, results_of_a_rank, 2, tmp_path)
    results_of_a_rank(0, 1, tmp_path)
    while not processes.join():
        pass
    one, *two = (torch.load(tmp_path / name) for name in ("1_0", "2_0", "2_1"))
    assert sorted([*two[0][0], *two[1][0]]) == one[0] == list(range(41))
    assert 0 < one[1]["map_50"] < 1
    assert {"map", "map_75", "recall_at_0.1_false_calls", "map:seven"} <= one[1].keys()
    for _, results in two:
        assert results == pytest.approx(one[1], abs=1e-9)


def boxes_of(made: DigitBoxes) -> tuple[Tensor, Tensor, Tensor]:
    targets = made.targets("train")
    return made.split("train")[0][:], targets["boxes"][:], targets["box_label"][:]  # type: ignore[index, return-value]


def test_digits_lie_in_their_boxes() -> None:
    """Every sheet shows its own digit, all ink lies in a box, and every box is full of it to its edges."""
    images, boxes, labels = boxes_of(DigitBoxes(batch_size=1, seed=0))
    assert images.shape == (1438, 1, 32, 32)
    assert (labels >= 0).any(dim=1).all()
    for sheet in range(0, 1438, 50):
        left_over = images[sheet, 0].clone()
        for box, label in zip(boxes[sheet].long().tolist(), labels[sheet].tolist(), strict=True):
            if label < 0:
                continue
            inside = images[sheet, 0, box[1] : box[3], box[0] : box[2]] > -0.5
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()
            left_over[box[1] : box[3], box[0] : box[2]] = -1
        assert not (left_over > -0.5).any()
