"""Fine-tuning: what moves and what does not, whose weights it starts from, and what is refused."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from launch.checkpoint import AtomicCheckpointIO
from lightning_modules.dgm.module import DGMClassifier
from lightning_modules.dgm.networks import DGM
from tests.lightning_modules.classifier.test_module import Bars, ThreeBars, trainer_for

BACKBONE: dict[str, Any] = {"channels": 6, "blocks": [1, 1]}
MOVING = [
    "bases.coordinates.weight",
    "bases.layers.0.convolution.weight",
    "bases.layers.0.norm.weight",
    "bases.layers.0.norm.bias",
    "bases.layers.1.convolution.weight",
    "bases.layers.1.norm.weight",
    "bases.layers.1.norm.bias",
    "levels.0.affine.hidden.0.weight",
    "levels.0.affine.hidden.0.bias",
    "levels.0.affine.hidden.1.weight",
    "levels.0.affine.hidden.1.bias",
    "levels.0.affine.hidden_norms.0.weight",
    "levels.0.affine.hidden_norms.0.bias",
    "levels.0.affine.hidden_norms.1.weight",
    "levels.0.affine.hidden_norms.1.bias",
    "levels.0.affine.matrix.weight",
    "levels.0.affine.matrix.bias",
    "levels.0.affine.shift.weight",
    "levels.0.affine.shift.bias",
    "levels.0.affine.channel_scale.weight",
    "levels.0.affine.channel_scale.bias",
    "levels.0.affine.channel_shift.weight",
    "levels.0.affine.channel_shift.bias",
    "levels.0.bases.mix.convolution.weight",
    "levels.0.bases.mix.norm.weight",
    "levels.0.bases.mix.norm.bias",
    "levels.0.bases.refine.convolution.weight",
    "levels.0.bases.refine.norm.weight",
    "levels.0.bases.refine.norm.bias",
    "classifier.weight",
    "classifier.bias",
]
STATISTICS = [  # buffers of the batch norms that train
    f"{norm}.{buffer}"
    for norm in ("bases.layers.0.norm", "bases.layers.1.norm", "levels.0.bases.mix.norm", "levels.0.bases.refine.norm")
    for buffer in ("running_mean", "running_var", "num_batches_tracked")
]


def make(*, num_classes: int = 8, seed: int = 0, backbone: dict[str, Any] = BACKBONE, **changes: Any) -> DGMClassifier:
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "image_shape": (1, 8, 8),
        "backbone": functools.partial(DGM, **backbone),
        "optimizer": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
        "budget_kimg": 1.0,
    }
    method = DGMClassifier(num_classes=num_classes, seed=seed, **(settings | changes))
    method.run_config = {"method": {"backbone": {"_target_": "DGM", **backbone}}}
    return method


def fit(method: DGMClassifier, data: type[Bars] = Bars, *, kimg: float = 0.064, resume: Path | None = None) -> None:
    """In steps of 32 images."""
    trainer = trainer_for(kimg)
    trainer.fit(
        method, data(batch_size=32, seed=0), ckpt_path=None if resume is None else str(resume), weights_only=True
    )


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run on eight classes."""
    method = make(seed=3)
    fit(method)
    path = tmp_path_factory.mktemp("trained") / "last.ckpt"
    save(method, path)
    return path


def save(method: DGMClassifier, path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(
        {
            "config": method.run_config,
            "images_seen": method.images_seen,
            "state_dict": method.state_dict(),
        },
        path,
    )


def averaged(path: Path) -> dict[str, Tensor]:
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name.removeprefix("averaged_network."): v for name, v in state.items() if name.startswith("averaged_")}


@pytest.mark.parametrize(("data", "num_classes"), [(Bars, 8), (ThreeBars, 3)])
def test_the_bases_and_the_classifier_move_alone(
    trained: Path, data: type[Bars], num_classes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    method = make(num_classes=num_classes, trained="bases", weights=str(trained))
    start = averaged(trained)
    if num_classes == 3:
        start |= {name: value for name, value in copied(method.network.state_dict()).items() if "classifier" in name}
    fit(method, data)
    assert ("the classifier starts afresh" in capsys.readouterr().err) == (num_classes == 3)
    for network in (method.network, method.averaged_network):
        moved = [name for name, value in network.state_dict().items() if not torch.equal(value, start[name])]
        assert sorted(moved) == sorted([*MOVING, *STATISTICS])
    still = [name for name, parameter in method.network.named_parameters() if not parameter.requires_grad]
    assert sorted([*still, *MOVING]) == sorted(name for name, _ in method.network.named_parameters())
    assert all(method.network.get_parameter(name).grad is None for name in still)
    (optimizer,) = method.trainer.optimizers
    given = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert given == {id(method.network.get_parameter(name)) for name in MOVING}


def test_what_is_frozen_stays_in_evaluation(trained: Path) -> None:
    method = make(trained="bases", weights=str(trained)).train()
    training = {name for name, module in method.network.named_modules() if module.training}
    assert {"bases", "bases.layers.0.norm", "levels.0.bases.mix.norm", "classifier"} <= training
    assert not {"blocks.0.layers.0.norm", "levels.0.projection.norm", "levels.0.blocks.0.layers.1.norm"} & training
    assert not any(module.training for module in method.averaged_network.modules())
    assert not any(module.training for module in method.eval().modules())
    assert all(module.training for module in make().train().network.modules())


def test_all_of_it_may_start_from_weights(trained: Path) -> None:
    method = make(weights=str(trained))
    fit(method, kimg=0.032)
    start, end = averaged(trained), method.network.state_dict()
    assert all(not torch.equal(end[name], start[name]) for name, _ in method.network.named_parameters())
    nearer = [
        (end[name] - start[name]).norm() < 0.5 * start[name].norm() for name in start if name.endswith("n.weight")
    ]
    assert nearer
    assert all(nearer)


def test_a_resumed_run_goes_on_from_its_own_checkpoint(trained: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.ckpt"
    start.write_bytes(trained.read_bytes())
    whole = make(num_classes=3, trained="bases", weights=str(start))
    fit(whole, ThreeBars, kimg=0.128)
    part = make(num_classes=3, trained="bases", weights=str(start))
    fit(part, ThreeBars)
    part.trainer.save_checkpoint(tmp_path / "last.ckpt")
    start.unlink()
    resumed = make(num_classes=3, seed=0, trained="bases", weights=str(start))
    fit(resumed, ThreeBars, kimg=0.128, resume=tmp_path / "last.ckpt")
    ours, expected = resumed.state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], expected[name]) for name in expected)


def test_unused_parameters_of_the_released_network_stay_frozen(tmp_path: Path) -> None:
    backbone = BACKBONE | {"variant": "released"}
    save(make(backbone=backbone), tmp_path / "last.ckpt")
    method = make(backbone=backbone, trained="bases", weights=str(tmp_path / "last.ckpt"))
    before = copied(method.network.levels[0].affine.hidden[1].state_dict())  # type: ignore[union-attr, index]
    fit(method)
    after = method.network.levels[0].affine.hidden[1].state_dict()  # type: ignore[union-attr, index]
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_that_cannot_be_taken_are_named(trained: Path, tmp_path: Path) -> None:
    def refused(match: str, **changes: Any) -> None:
        with pytest.raises(ValueError, match=match) as caught:
            fit(make(**changes))
        assert "\n" not in str(caught.value)

    refused(r"there are no weights .*nowhere\.ckpt: give the last\.ckpt", weights=str(tmp_path / "nowhere.ckpt"))
    (tmp_path / "cut.ckpt").write_bytes(trained.read_bytes()[:3000])
    refused(r"cut\.ckpt cannot be read", weights=str(tmp_path / "cut.ckpt"))
    torch.save({"state_dict": {"generator.weight": torch.zeros(1)}, "config": {}}, tmp_path / "other.ckpt")
    refused("other.ckpt holds no classifier to start from", weights=str(tmp_path / "other.ckpt"))
    wider = BACKBONE | {"channels": 8, "affine": False}
    refused(
        r"another network \(channels 6 for 8, affine True for False\): give method\.backbone",
        weights=str(trained),
        backbone=wider,
    )
    refused("trained=bases leaves the image features as they are: give weights=", trained="bases")
    refused("unknown trained 'base': choose one of all, bases", trained="base")
    refused(
        "a network without moments has no coordinate pipeline",
        trained="bases",
        weights=str(trained),
        backbone=BACKBONE | {"moments": False},
    )


def test_weights_of_other_images_are_refused(trained: Path) -> None:
    method = make(image_shape=(3, 8, 8), weights=str(trained))
    with pytest.raises(ValueError, match=r"another network \(stem.weight \[6, 1, 5, 5\] for \[6, 3, 5, 5\]\)"):
        fit(method)


@pytest.mark.parametrize(("side", "patch_size"), [(9, 2), (8, 3), (8, 8)])
def test_images_that_do_not_fill_the_grid_are_refused_before_any_data(side: int, patch_size: int) -> None:
    with pytest.raises(ValueError, match=f"{side} x {side} pixels do not fill a grid of {patch_size} x {patch_size}"):
        make(image_shape=(1, side, side), backbone=BACKBONE | {"patch_size": patch_size})
