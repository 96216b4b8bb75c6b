"""Segmentation: heads, weights to start from, Table 5.8's rows on made-up photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet50

from datamodules.digits import DigitMasks
from generative.rendering.masks import NO_CLASS
from launch.build import build
from launch.checkpoint import load_method
from launch.compose import compose, plain
from launch.generate.tasks import find_task, tasks_of
from lightning_modules.dgm.backbones import DGMBackbone, Maps, ResNetBackbone
from lightning_modules.dgm.finetuning import backbone_state
from lightning_modules.dgm.heads import DeepLabHead, SegmentationNetwork, SimpleHead
from lightning_modules.dgm.networks import DGM
from lightning_modules.dgm.segmentation import Segmentation
from lightning_modules.weights import load, read_weights
from tests.support.layouts import write_cityscapes, write_voc
from tests.support.ranks import fit, on_ranks

DEEPLAB = ("segmentation/head@method.head=deeplab", "method.head.width=8", "method.head.early_width=4")
SMALLER = {
    "voc2012": ["datamodule.resolution=48", "datamodule.crop_size=32"],
    "cityscapes": ["datamodule.resolution=40", "datamodule.crop_size=32"],
}
ROWS = ("simple_head", "deeplab_head", "resnet50_simple_head", "resnet50_deeplab_head")


def random(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def dgm_backbone(**changes: Any) -> DGMBackbone:
    torch.manual_seed(0)
    return DGMBackbone(**({"image_channels": 3, "channels": 8, "blocks": [1, 1], "patch_size": 4} | changes))


def simple_head(num_channels: int = 8, **changes: Any) -> SimpleHead:
    return SimpleHead(**({"num_channels": num_channels, "num_early": 8, "num_classes": 5, "width": 6} | changes))


def deeplab_head(num_channels: int = 8, num_early: int = 8, **changes: Any) -> DeepLabHead:
    settings = {"num_classes": 5, "width": 6, "early_width": 3, "rates": [1, 2]}
    return DeepLabHead(**({"num_channels": num_channels, "num_early": num_early} | settings | changes))


def method(*overrides: str) -> Segmentation:
    chosen = ["experiment=none", "method=dgm_segmentation", "datamodule=digit_masks", "run_dir=run"]
    torch.manual_seed(0)
    built = build(plain(compose("train", [*chosen, *overrides])))[1]
    assert isinstance(built, Segmentation)
    return built


@pytest.mark.parametrize("head", [simple_head, deeplab_head])
@pytest.mark.parametrize("size", [(32, 32), (16, 40)])
def test_logits_have_the_size_of_the_image(head: Callable, size: tuple[int, int]) -> None:
    network = SegmentationNetwork(dgm_backbone(), head())
    logits = network(random(2, 3, *size))
    assert logits.shape == (2, 5, *size)
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_last_features_are_the_projected_ones() -> None:
    """Their means are the moments that the classifier of the same levels sees (eq. 5.3)."""
    backbone = dgm_backbone().eval()
    classifier = DGM(image_channels=3, num_classes=2, channels=8, blocks=[1, 1], patch_size=4).eval()
    classifier.load_state_dict(backbone.state_dict(), strict=False)
    x = random(2, 3, 16, 24)
    maps = backbone(x)
    assert maps.last.shape == maps.early.shape == (2, 8, 4, 6)
    torch.testing.assert_close(maps.last.mean(dim=(2, 3)), classifier.features(x))


@pytest.mark.parametrize(("output_stride", "last"), [(8, (6, 5)), (16, (3, 3)), (32, (2, 2))])
def test_resnet_is_torchvisions(output_stride: int, last: tuple[int, int]) -> None:
    """Dilated at the strides asked for; undilated the very features of resnet50, by its own state dict."""
    ours = ResNetBackbone(image_channels=3, blocks=[3, 4, 6, 3], output_stride=output_stride).eval()
    x = random(1, 3, 48, 40)
    with torch.no_grad():
        maps = ours(x)
        assert maps.early.shape == (1, ours.num_early, 12, 10)
        assert maps.last.shape == (1, ours.num_channels, *last)
        if output_stride < 32:
            return
        theirs = resnet50().eval()
        state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
        load(ours, state, path="resnet50.pth", part="backbone")
        mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        expected = theirs(((x + 1) / 2 - mean) / deviation)
        torch.testing.assert_close(theirs.fc(ours(x).last.mean(dim=(2, 3))), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_simple_head_rescales_features_then_convolves(training: bool) -> None:
    """In the order of the text: rescale, 1 x 1, 1 x 1; ours takes the first convolution before the rescaling."""
    head = simple_head(scale=4).double().train(training)
    last = random(3, 8, 4, 6, dtype=torch.float64)
    rescaled = F.interpolate(last, scale_factor=4, mode="bilinear", align_corners=False)
    literal = nn.Sequential(head.hidden, head.norm, nn.ReLU(), head.classifier)
    torch.testing.assert_close(head(Maps(last, last)), literal(rescaled), rtol=1e-12, atol=1e-12)


def test_simple_head_sees_no_neighbours() -> None:
    """At scale 1 what it says of a position is a function of that position's features alone."""
    head = simple_head(scale=1).eval()
    last = random(1, 8, 4, 4)
    changed = last.clone()
    changed[:, :, 2, 1] += 1.0
    moved = (head(Maps(last, last)) - head(Maps(changed, changed))).abs().amax(dim=1)[0] > 0
    assert moved[2, 1]
    assert int(moved.sum()) == 1


@pytest.mark.parametrize(("rates", "reach"), [([1], 1), ([3], 3)])
def test_atrous_convolutions_reach_as_far_as_their_rate(rates: list[int], reach: int) -> None:
    pyramid = deeplab_head(rates=rates).eval().pyramid
    branch = pyramid.convs[1]
    last = torch.zeros(1, 8, 9, 9, requires_grad=True)
    branch[0](last)[0, :, 4, 4].sum().backward()
    rows = last.grad[0].abs().sum(dim=0).nonzero()
    assert sorted(set(rows[:, 0].tolist())) == [4 - reach, 4, 4 + reach]


def test_dropout_leaves_channels_out_by_number() -> None:
    built = method(*DEEPLAB, "method.head.dropout=0.5")
    whole = built.dropout_factors(0, 200)
    assert whole is not None
    assert set(whole.unique().tolist()) == {0.0, 2.0}
    assert whole.mean() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(whole[50:60], built.dropout_factors(50, 10))
    maps = Maps(random(2, 16, 4, 4), random(2, 16, 4, 4))
    head = built.network.head
    assert not torch.equal(head(maps, whole[:2]), head(maps, whole[2:4]))
    assert torch.equal(head(maps, whole[:2]), head(maps, whole[:2])), "no random numbers of its own"


def test_parts_of_a_batch_draw_the_same_dropout() -> None:
    settings = ("method=dgm_segmentation", "datamodule.batch_size=8", *DEEPLAB, "method.head.dropout=0.5")
    whole, parts = (fit(*settings, f"+method.accumulate={n}", num_steps=3)[0] for n in (1, 2))
    assert all(torch.allclose(parts.weights[name], value, rtol=1e-9) for name, value in whole.weights.items())
    assert parts.draws == whole.draws
    assert whole.draws


def test_one_image_at_once_is_refused_by_the_deeplab_head() -> None:
    head = deeplab_head()
    maps = Maps(random(1, 8, 4, 4), random(1, 8, 4, 4))
    with pytest.raises(ValueError, match="leave 2 images or more at once"):
        head(maps)
    assert head.eval()(maps).shape == (1, 5, 4, 4)


def results_of_a_rank(rank: int, num_ranks: int, folder: Path) -> None:
    _, built, trainer = fit("method=dgm_segmentation", "datamodule.batch_size=16", num_steps=4, num_ranks=num_ranks)
    trainer.test(built, trainer.datamodule, verbose=False)  # type: ignore[attr-defined]
    assert isinstance(built, Segmentation)
    results = built.test_results()["segmentation"]
    torch.save((built.test_metrics[0].compute(), results), folder / f"{num_ranks}_{rank}")


def test_two_ranks_count_every_pixel_once(tmp_path: Path) -> None:
    """359 images are 180 and 179; in float64, so that no pixel changes sides."""
    processes = on_ranks(2, results_of_a_rank, 2, tmp_path)
    results_of_a_rank(0, 1, tmp_path)
    while not processes.join():
        pass
    one, *two = (torch.load(tmp_path / name) for name in ("1_0", "2_0", "2_1"))
    counted = int((DigitMasks(batch_size=1, seed=0).targets("test")["mask"] != NO_CLASS).sum())
    assert int(one[0].sum()) == counted
    for confusion, results in two:
        assert torch.equal(confusion, one[0])
        assert results == one[1]


def test_the_loss_is_the_mean_over_all_pixels_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the whole batch, in however many parts it is taken, pixel by pixel from the logits: no mean of parts' means."""
    seen: list[Tensor] = []
    forward = SegmentationNetwork.forward

    def watched(self: SegmentationNetwork, *inputs: Any) -> Tensor:
        seen.append(forward(self, *inputs))
        return seen[-1]

    monkeypatch.setattr(SegmentationNetwork, "forward", watched)
    for accumulate in (1, 4):
        seen.clear()
        settings = ("datamodule.batch_size=8", f"+method.accumulate={accumulate}")
        outcome, built, trainer = fit("method=dgm_segmentation", *settings, num_steps=1)
        assert len(seen) == accumulate
        built.images_seen = 0
        batch = next(iter(trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
        right, surprise = [], []
        for logits, mask in zip(torch.cat(seen).detach(), batch["mask"].tolist(), strict=True):
            for row, column in np.argwhere(np.array(mask) != NO_CLASS):
                pixel, label = logits[:, row, column], mask[row][column]
                right.append(int(pixel.argmax()) == label)
                surprise.append(float(pixel.exp().sum().log() - pixel[label]))
        assert 0 < len(right) < batch["mask"].numel()
        assert outcome.losses[0] == pytest.approx(
            {"loss/cross_entropy": np.mean(surprise), "score/pixel_accuracy": np.mean(right)}
        )


def test_the_rate_falls_with_the_images_seen() -> None:
    """The third step of 8 of a budget of 32: (1 - 20 / 32) ** power of the first rate, at the step's middle."""
    settings = ("method=dgm_segmentation", "datamodule.batch_size=8", "max_kimg=0.032", "method.power=0.5")
    _, _, trainer = fit(*settings, num_steps=3)
    (group,) = trainer.optimizers[0].param_groups
    assert group["lr"] == pytest.approx(0.1 * (12 / 32) ** 0.5, rel=1e-12)


def test_data_without_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="needs masks of at least 2 classes, and the data have 0: choose a datamodule"):
        method("datamodule=digits")


def test_images_that_patches_do_not_fill_are_refused(small_run: Callable, tmp_path: Path) -> None:
    """Crops at once, whole test images before the first step, not after the last."""
    with pytest.raises(ValueError, match="images of 8 x 8 pixels do not fill a grid of 3 x 3 patches"):
        method("method.backbone.patch_size=3")
    write_voc(tmp_path / "data", per_split=3)
    settings = (f"datamodule.data_dir={tmp_path / 'data'}", "datamodule.crop_size=32", "method.backbone.patch_size=8")
    with pytest.raises(ValueError, match="images of 50 x 50 pixels do not fill"):
        small_run("method=dgm_segmentation", "datamodule=voc2012", *settings, "datamodule.resolution=50")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: simple_head(width=0), "width must be at least 1, got 0"),
        (lambda: simple_head(scale=0), "scale must be at least 1, got 0"),
        (lambda: deeplab_head(rates=[]), r"at least one dilation of 1 or more, got \[\]"),
        (lambda: deeplab_head(dropout=1.0), "dropout must be at least 0 and below 1, got 1.0"),
        (lambda: deeplab_head(early_width=0), "must be at least 1, got 6 and 0"),
        (lambda: ResNetBackbone(image_channels=1, blocks=[1, 1, 1, 1], output_stride=8), "3 channels, got 1"),
        (lambda: ResNetBackbone(image_channels=3, blocks=[1, 1], output_stride=8), r"of 4 stages, got \[1, 1\]"),
        (
            lambda: ResNetBackbone(image_channels=3, blocks=[1] * 4, output_stride=4),
            "must be one of 8, 16, 32, got 4",
        ),
    ],
)
def test_settings_outside_their_range_name_themselves(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("data", ["voc", "cityscapes"])
def test_the_rows_of_table_5_8(data: str, row: str) -> None:
    """About 25 million weights in each backbone; classes, budget and test images as published."""
    config = plain(compose("train", [f"experiment=dgm/{data}_{row}", "run_dir=nowhere"]))
    with torch.device("meta"):
        datamodule, built = build(config)
    assert isinstance(built, Segmentation)
    backbone, head = built.network.backbone, built.network.head
    assert isinstance(backbone, ResNetBackbone if "resnet50" in row else DGMBackbone)
    assert isinstance(head, DeepLabHead if "deeplab" in row else SimpleHead)
    assert 23.5e6 <= sum(parameter.numel() for parameter in backbone.parameters()) <= 25.5e6
    assert built.num_classes == {"voc": 21, "cityscapes": 19}[data]
    assert built.budget_images == 16 * {"voc": 30_000, "cityscapes": 90_000}[data]
    for size in (built.image_shape[1:], datamodule.test_size):
        backbone.check_image_size(*size)
    if isinstance(backbone, DGMBackbone):
        assert 1 + len(backbone.levels) == 5


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(("name", "write"), [("voc2012", write_voc), ("cityscapes", write_cityscapes)])
def test_two_steps_of_each_row_on_made_up_photos(
    name: str, write: Callable[[Path], None], row: str, small_run: Callable, tmp_path: Path
) -> None:
    write(tmp_path / "data")
    experiment = f"experiment=dgm/{'voc' if name == 'voc2012' else name}_{row}"
    tiny = ["method.head.width=8", *SMALLER[name], *(["method.head.early_width=4"] if "deeplab" in row else [])]
    if "resnet" in row:
        tiny += ["method.backbone.blocks=[1,1,1,1]"]
    else:
        tiny += ["method.backbone.channels=8", "method.backbone.blocks=[1,0,1,0,1]"]
    tiny += ["datamodule.augmented=false"] if name == "voc2012" else []
    data = (f"datamodule={name}", f"datamodule.data_dir={tmp_path / 'data'}", "datamodule.batch_size=2")
    folder, metrics = small_run(experiment, *data, "max_kimg=0.004", *tiny)
    assert metrics.keys() == {"metric/mean_iou", "metric/pixel_accuracy"}
    assert all(0 <= value <= 1 for value in metrics.values())
    assert (folder / "checkpoints" / "last.ckpt").exists()


CLASSIFIER = ("method=dgm", "datamodule=digits", "max_kimg=0.016", "method.backbone.channels=8")
SEGMENTATION = ("method=dgm_segmentation", "max_kimg=0.016", "method.backbone.channels=8")


@pytest.fixture
def classifier(small_run: Callable, tmp_path: Path) -> Path:
    folder, _ = small_run(*CLASSIFIER, run_dir=tmp_path / "classifier")
    return folder / "checkpoints" / "last.ckpt"


def test_a_run_starts_from_a_classifiers_average(
    classifier: Path, small_run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both networks; the heads are fresh; a continued run does not start again, nor need the file."""
    started: dict[str, Tensor] = {}

    def look(self: Segmentation) -> None:
        started.update({name: value.clone() for name, value in self.state_dict().items()})

    monkeypatch.setattr(Segmentation, "on_train_start", look)
    folder, _ = small_run(*SEGMENTATION, f"method.weights={classifier}")
    trained, _ = load_method(classifier)
    theirs = {
        name.removeprefix("averaged_network."): value
        for name, value in trained.state_dict().items()
        if name.startswith("averaged_network.") and ".classifier." not in name
    }
    assert len(theirs) > 20
    for name, value in theirs.items():
        for network in ("network", "averaged_network"):
            assert torch.equal(started[f"{network}.backbone.{name}"], value)
    assert not any("backbone.classifier" in name for name in started)
    started.clear()
    classifier.unlink()
    small_run(
        *SEGMENTATION, f"method.weights={classifier}", "max_kimg=0.032", f"resume={folder}/checkpoints/last.ckpt",
        run_dir=tmp_path / "further",
    )  # fmt: skip
    assert any(not torch.equal(started[f"network.backbone.{name}"], value) for name, value in theirs.items())


def test_weights_that_do_not_fit_say_what_and_why(classifier: Path, small_run: Callable, tmp_path: Path) -> None:
    for change, message in (
        ("method.backbone.channels=6", r"does not fit method.backbone, it has stem.weight \[8, 1, 5, 5\] for \[6, 1, 5, 5\]"),
        ("method.backbone.blocks=[1,1,1]", r"it lacks levels.1.\S+ and \d+ more: give the backbone the settings"),
        ("method.backbone.blocks=[1]", r"it also has levels.0.\S+ and \d+ more: give the backbone the settings"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            small_run(*SEGMENTATION, f"method.weights={classifier}", change, run_dir=tmp_path / "odd")


def started(path: Path) -> dict[str, Tensor]:
    """What a backbone starts from."""
    return backbone_state(read_weights(str(path), source=Segmentation.weights_source))


def test_files_that_hold_no_classifier_are_refused(small_run: Callable, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there are no weights .*nowhere.ckpt: give the last.ckpt"):
        started(tmp_path / "nowhere.ckpt")
    contents: dict[str, Any] = {
        "empty": {}, "list": [1, 2], "object": Path("a"), "generator": {"state_dict": {"generator.weight": torch.ones(1)}},
        "headless": {"stem.weight": torch.ones(1)},
    }  # fmt: skip
    messages = {
        "empty": "holds no weights", "list": "holds no weights", "object": "cannot be read as tensors",
        "generator": "holds no classifier", "headless": "holds no classifier",
    }  # fmt: skip
    for name, content in contents.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(ValueError, match=f"{name} {messages[name]}.*: give the last.ckpt of a run of method=dgm"):
            started(tmp_path / name)
    (tmp_path / "cut").write_bytes((tmp_path / "generator").read_bytes()[:100])
    with pytest.raises(ValueError, match="cut cannot be read"):
        started(tmp_path / "cut")


def test_torchvisions_weights_are_taken_as_published(tmp_path: Path) -> None:
    """A bare state dict; older files have no counters of batches."""
    theirs = {k: v for k, v in resnet50().state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(theirs, tmp_path / "resnet50.pth")
    state = started(tmp_path / "resnet50.pth")
    assert theirs.keys() - state.keys() == {"fc.weight", "fc.bias"}
    ours = ResNetBackbone(image_channels=3, blocks=[3, 4, 6, 3], output_stride=8)
    load(ours, state, path="resnet50.pth", part="backbone")
    assert torch.equal(ours.conv1.weight, theirs["conv1.weight"])


def test_a_task_is_offered_to_the_methods_that_it_is_for(classifier: Path) -> None:
    assert "masks" in tasks_of(method())
    trained, _ = load_method(classifier)
    assert "maps" in tasks_of(trained)
    assert not {"masks", "save_examples"} & tasks_of(trained).keys(), "of another method; of no method"
    with pytest.raises(ValueError, match="DGMClassifier has no task 'masks'"):
        find_task(trained, "masks")


def test_evaluate_measures_what_the_test_stage_did(small_run: Callable) -> None:
    from launch.evaluate.capabilities import measure_checkpoint
    from launch.evaluate.requests import request_of

    folder, metrics = small_run("method=dgm_segmentation", "max_kimg=0.032")
    settings = plain(compose("evaluate", [f"checkpoint={folder / 'checkpoints' / 'last.ckpt'}"]))
    (record,), picture = measure_checkpoint(request_of(settings))
    assert picture is None
    assert record["protocol"]["task"] == "segmentation"
    assert {f"metric/{name}": value for name, value in record["metrics"].items()} == metrics
