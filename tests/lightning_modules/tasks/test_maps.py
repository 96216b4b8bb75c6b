"""Maps against closed forms: what they are of each network, and how much of them lies on an object."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from datamodules.arrays import Arrays
from datamodules.digits import DigitMasks
from datamodules.voc import VOC2012
from generate import generate
from generative.rendering.images import to_uint8
from launch.build import build
from launch.compose import compose, plain
from launch.generate.tasks import find_task, load_named
from lightning_modules.classification import Classification
from lightning_modules.classifier.networks import Backbone
from lightning_modules.dgm.maps import (
    centre_map,
    correlation,
    energy_inside,
    enlarged,
    grad_cam,
    last_map,
    named_models,
    pointing_game,
)
from lightning_modules.dgm.module import DGMClassifier
from lightning_modules.dgm.tasks import fitted, maps, maps_compared, maps_corrupted, maps_scored, objects_of
from tests.support.layouts import write_voc


def noise(count: int, size: int, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def data(size: int = 32, count: int = 12) -> Arrays:
    labels = torch.arange(count) % 3
    rows = (to_uint8(noise(count, size)), labels)
    return Arrays(train=rows, test=rows, num_classes=3, batch_size=4, seed=0)


def model(*overrides: str, size: int = 32) -> Classification:
    torch.manual_seed(0)
    config = plain(compose("train", ["experiment=none", "datamodule=cifar10", "run_dir=x", *overrides]))
    built = build(config | {"datamodule": config["datamodule"] | {"resolution": size}})[1].eval()
    assert isinstance(built, Classification)
    return built


def dgm(*overrides: str, size: int = 32) -> DGMClassifier:
    built = model("method=dgm", "method.backbone.channels=8", *overrides, size=size)
    assert isinstance(built, DGMClassifier)
    return built


def resnet(size: int = 32) -> Classification:
    settings = ("architecture=resnet10", "stem=small")
    return model("method=classifier", *(f"method.backbone.{setting}" for setting in settings), size=size)


def test_maps_are_normalized_and_corners_stay() -> None:
    values = torch.tensor([[[-3.0, 1.0], [0.0, 5.0]], [[2.0, 2.0], [2.0, 2.0]]])
    large = enlarged(values, (3, 5))
    assert large.shape == (2, 3, 5)
    torch.testing.assert_close(large[0, ::2, ::4], (values[0] + 3) / 8)
    torch.testing.assert_close(large[0, 0], torch.linspace(0, 0.5, 5), msg="linear from corner to corner")
    assert float(large[0, 1, 2]) == pytest.approx(float((values[0].mean() + 3) / 8)), (
        "the middle is the mean of the corners"
    )
    assert not large[1].any()


def test_grad_cam_of_a_pooled_network_is_its_class_activation_map() -> None:
    """With a mean and a linear layer after A, a_k = w_k / (h w): Grad-CAM is CAM (Selvaraju et al. 2017, section 3.1)."""
    torch.manual_seed(0)
    network = Backbone(architecture="resnet10", image_channels=3, num_classes=5, stem="small").eval()
    network.requires_grad_(False)
    images, classes = noise(3, 32), torch.tensor([0, 4, 2])
    trunk = network.trunk
    with torch.no_grad():
        a = trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(trunk.relu(trunk.bn1(trunk.conv1(images)))))))
    expected = torch.einsum("bk,bkhw->bhw", network.classifier.weight[classes], a) / a[0, 0].numel()
    with torch.no_grad():
        found = grad_cam(network, images, classes)
    assert found.shape == (3, 4, 4)
    assert found.any()
    torch.testing.assert_close(found, expected.clamp(min=0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("architecture", ["mobilenet_v2", "mobilenet_v3_small"])
def test_grad_cam_of_mobilenets(architecture: str) -> None:
    torch.manual_seed(0)
    network = Backbone(architecture=architecture, image_channels=1, num_classes=3, stem="small").eval()
    found = grad_cam(network, torch.rand(2, 1, 64, 64), torch.tensor([0, 1]))
    assert found.shape[0] == 2
    assert min(found.shape[1:]) > 1
    assert found.min() >= 0


@pytest.mark.parametrize("blocks", ["[1]", "[1,1]"])
@pytest.mark.parametrize("with_moments", ["true", "false"])
def test_last_maps_of_a_dgm_are_its_last_features(blocks: str, with_moments: str) -> None:
    method = dgm(f"method.backbone.blocks={blocks}", f"method.backbone.moments={with_moments}", size=8)
    seen: list[Tensor] = []
    network = method.averaged_network
    network.last_maps().register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.no_grad():
        features = network.last_level(noise(2, 8)).features
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], features)


def test_the_map_of_each_kind_of_network() -> None:
    images, classes = noise(2, 32), torch.tensor([0, 1])
    for method in (dgm(), dgm("method.backbone.moments=false")):
        expected = enlarged(method.heatmaps(images)[-1], (32, 32))
        torch.testing.assert_close(last_map(method, images, classes), expected)
    other = resnet()
    expected = enlarged(grad_cam(other.averaged_network, images, classes), (32, 32))
    torch.testing.assert_close(last_map(other, images, classes), expected)


def test_energy_and_pointing_of_known_maps() -> None:
    inside = torch.zeros(4, 4, 4, dtype=torch.bool)
    inside[:, :2, :2] = True
    shares = torch.stack([inside[0].float(), torch.ones(4, 4), (~inside[0]).float(), torch.zeros(4, 4)])
    assert energy_inside(shares, inside).tolist() == [1, 0.25, 0, 0.25], "no mass says as much as an even map"
    assert pointing_game(shares, inside).tolist() == [1, 0.25, 0, 0.25]
    counted = torch.ones_like(inside)
    counted[:, 2:] = False
    assert energy_inside(shares, inside, counted).tolist() == [1, 0.5, 0, 0.5]
    assert pointing_game(shares, inside, counted).tolist() == [1, 0.5, 0, 0.5]
    peak = torch.rand(1, 4, 4)
    peak[0, 1, 1], peak[0, 3, 3] = 2, 3
    assert pointing_game(peak, inside[:1]).tolist() == [0]
    assert pointing_game(peak, inside[:1], counted[:1]).tolist() == [1], "what does not count is no maximum"


def test_the_middle_knows_only_the_middle() -> None:
    values = centre_map(6, 9)
    assert int(values.argmax()) in (2 * 9 + 4, 3 * 9 + 4)
    torch.testing.assert_close(values, values.flip(0).flip(1))
    assert float(centre_map(5, 5)[2, 2]) == 1


def test_correlation_is_pearsons() -> None:
    a, b = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    expected = [np.corrcoef(a[i].flatten().numpy(), b[i].flatten().numpy())[0, 1] for i in range(3)]
    np.testing.assert_allclose(correlation(a, b), expected, atol=1e-6)
    torch.testing.assert_close(correlation(a, 3 - 2 * a), -torch.ones(3))
    assert correlation(a[:1], torch.ones(1, 4, 5)).isnan().all()


def test_names_of_models() -> None:
    assert list(named_models(dgm(), [resnet(), dgm(), dgm()])) == [
        "dgm-cifar10", "classifier-cifar10", "dgm-cifar10 (2)", "dgm-cifar10 (3)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"a baseline takes images \(3, 16, 16\).*compare models of the same data"):
        named_models(dgm(), [resnet(16)])


def test_masks_at_the_size_of_the_model() -> None:
    masks = torch.tensor([[[0, 0, 7, 7], [0, 0, 7, 7], [255, 255, 0, 0], [255, 255, 0, 0]]], dtype=torch.uint8)
    images, small = fitted(torch.ones(1, 3, 4, 4), masks, (2, 2))
    assert images.shape == (1, 3, 2, 2)
    assert small.tolist() == [[[0, 7], [255, 0]]]
    inside, counted = objects_of(small)
    assert inside.tolist() == [[[False, True], [False, False]]]
    assert counted.tolist() == [[[True, True], [False, True]]]


def test_tasks_write_pictures(tmp_path: Path) -> None:
    method = dgm()
    (path,) = maps(method, tmp_path, seed=0, datamodule=data(), count=2)
    three_levels = dgm("method.backbone.blocks=[1,1,1]")
    (wider,) = maps(three_levels, tmp_path / "3", seed=0, datamodule=data(), count=2, opacity=0.5)
    assert Image.open(wider).width > Image.open(path).width
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


def test_scores_over_photos_with_masks(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOC2012", per_split=6)
    empty = sorted((tmp_path / "VOC2012" / "SegmentationClass").glob("2008_*.png"))[0]
    Image.new("L", Image.open(empty).size, 0).save(empty)
    photos = VOC2012(
        data_dir=str(tmp_path), resolution=48, crop_size=48, scales=[1, 1], flip=False, batch_size=2, seed=0
    )  # fmt: skip
    written = maps_scored(dgm(), tmp_path, seed=0, masked=photos, baselines=[resnet()])
    rows = [json.loads(line) for line in written[0].read_text().splitlines()]
    assert [row["model"] for row in rows] == ["even map", "middle", "dgm-cifar10", "classifier-cifar10"]
    assert [row["map"] for row in rows] == ["none", "none", "moments", "Grad-CAM"]
    assert {row["num_images"] for row in rows} == {5}, "one shows no object"
    assert all(0 < row["energy_inside"] < 1 and row["energy_inside_95"] > 0 for row in rows)
    assert rows[0]["energy_inside"] == rows[0]["pointing_game"] > 0.8, "a block in 21 is background"
    assert "| even map | none |" in written[1].read_text()
    with pytest.raises(ValueError, match="arrays has no masks of objects before a background: give masked=voc2012"):
        maps_scored(dgm(), tmp_path, seed=0, masked=data())
    digits = DigitMasks(batch_size=4, seed=0)
    with pytest.raises(
        ValueError, match="images of digitmasks have 1 channels, and the model takes 3: give masked= and"
    ):
        maps_scored(dgm(), tmp_path, seed=0, masked=digits)
    grey = build(plain(compose("train", ["experiment=none", "method=dgm", "run_dir=x"])))[1].eval()
    assert isinstance(grey, DGMClassifier)
    rows = [
        json.loads(line)
        for line in maps_scored(grey, tmp_path, seed=0, masked=digits, count=20)[0].read_text().splitlines()
    ]
    assert {row["num_images"] for row in rows} == {20}


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
    with pytest.raises(ValueError, match=r"baselines takes checkpoints of kind Classification, and .* is a PolyINR"):
        load_named(find_task(dgm(), "maps_compared"), {"baselines": path}, device="cpu")
