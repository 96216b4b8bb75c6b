"""GANs of the house against the projected critic: addressed draws on any ranks, resumed to the bit, and no judge of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from generative.adversarial.projected import ClassEmbedding, ProjectedCritic
from generative.networks.critic import ConvCritic
from lightning_modules.backbones import Lite
from lightning_modules.base import Draws, HasCritic
from lightning_modules.critics import ask, class_features
from lightning_modules.poly_inr.module import PolyINR
from metrics.protocols import check_judge
from tests.support.ranks import fit, keep, on_ranks, outcomes
from tests.support.same_run import assert_same_run, killed_at

SMALL = (
    "critic@method.critic=projected", "method.critic.side=32", "method.critic.width=8", "method.critic.class_dim=8",
    "method.critic.group_size=4", "method.critic.blur_kimg=0.1", "method.loss=hinge", "datamodule.batch_size=16",
)  # fmt: skip
POLY_INR = ("method=poly_inr", *SMALL, "method.r1_gamma=0")
DCGAN = ("method=dcgan", *SMALL, "method.penalty_weight=0")
STEPS = 3


def fit_of_a_rank(rank: int, settings: tuple[str, ...], folder: Path) -> None:
    outcome, _, _ = fit(*settings, num_steps=STEPS, num_ranks=2)
    keep(outcome, folder, rank, "double")


@pytest.mark.parametrize("settings", [POLY_INR, pytest.param(DCGAN, marks=pytest.mark.soak)], ids=["poly_inr", "dcgan"])
def test_two_ranks_and_parts_learn_what_one_does(settings: tuple[str, ...], tmp_path: Path) -> None:
    processes = on_ranks(2, fit_of_a_rank, settings, tmp_path)
    whole, method, _ = fit(*settings, num_steps=STEPS)
    parts, *_ = fit(*settings, "+method.accumulate=2", num_steps=STEPS)
    while not processes.join():
        pass
    first, second = outcomes(tmp_path, 2, "double")
    for name, value in whole.weights.items():
        assert torch.equal(first.weights[name], second.weights[name]), name
        for other in (first, parts):
            torch.testing.assert_close(other.weights[name], value, rtol=1e-9, atol=1e-9, msg=name)
    assert first.draws.isdisjoint(second.draws)
    assert first.draws | second.draws == whole.draws
    assert isinstance(method, Draws)
    assert method.trained_against == ("efficientnet_lite0",)
    with pytest.raises(ValueError, match="efficientnet_lite0"):
        check_judge("efficientnet_lite0", method.trained_against, allowed=False)


def test_each_look_has_numbers_of_its_own() -> None:
    _, method, _ = fit(*POLY_INR, num_steps=1)
    assert isinstance(method, HasCritic)
    assert isinstance(method.critic, ProjectedCritic)
    images = torch.rand(4, *method.image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    part: dict[str, Any] = {"label": torch.arange(4), "first_number": 32}
    first, again, other = (ask(method, images, part, look=look) for look in ("images", "images", "fakes"))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    plain = ConvCritic(image_shape=method.image_shape, num_classes=10).double()
    method.critic = plain
    assert torch.equal(ask(method, images, part, look="images"), plain(images, torch.arange(4)))


def test_a_killed_run_goes_on_to_the_same_bits(small_run: Callable[..., tuple[Path, Any]], tmp_path: Path) -> None:
    words = [*POLY_INR, "max_kimg=0.064", "save_every_kimg=0.016", "callbacks.metrics.every_kimg=0"]
    whole, _ = small_run(*words, run_dir=tmp_path / "whole")
    with killed_at(32):
        small_run(*words)
    resumed, _ = small_run(*words, "resume=auto")
    assert_same_run(resumed, whole)


@pytest.mark.parametrize(("settings", "said"), [
    (("method.r1_gamma=0.1",), r"r1_gamma=0.1 is a penalty on the slope.*method.r1_gamma=0"),
    (("method.critic.backbones=[]",), "needs a feature network"),
    (("method.critic.side=40",), r"critic.side must be a multiple of 32"),
    (("datamodule.batch_size=18",), "cannot be cut into groups of 4"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit(*POLY_INR, *settings, num_steps=1)


def test_missing_weights_are_said_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words: list[Any] = [
        *POLY_INR,
        "method.critic.backbones=[deit_base_distilled]",
        f"method.critic.deit_file={tmp_path}/none.pth",
    ]
    monkeypatch.setattr("lightning_modules.poly_inr.module.PolyINR.training_step", lambda *_: pytest.fail("it trained"))
    with pytest.raises(ValueError, match="there is no weights file"):
        fit(*words, num_steps=1)


def test_classes_are_known_by_their_mean_features() -> None:
    settings = [
        *POLY_INR,
        "+method.class_features=3",
        "method.critic.feature_dim=320",
        "method.generator.embedding_dim=320",
    ]
    _, method, trainer = fit(*settings, "method.generator_optimizer.lr=0.0", num_steps=1)
    assert isinstance(method, PolyINR)
    known = next(module for module in method.critic.modules() if isinstance(module, ClassEmbedding)).given
    assert torch.equal(known, method.generator.mapping.embedding.weight)
    assert torch.equal(known, method.averaged_generator.mapping.embedding.weight)
    images, labels = (rows[:60] for rows in trainer.datamodule.split("train"))  # type: ignore[attr-defined]
    rows = class_features(method.critic, images.double(), labels, num_classes=10, most=10**6)
    lite = Lite(32)
    shown = torch.nn.functional.interpolate(images[labels == 7].double(), size=(32, 32), mode="bilinear")
    assert torch.allclose(rows[7], lite(shown)[-1].mean(dim=(0, 2, 3)), atol=1e-9), "of as many as there are, all"
    with pytest.raises(ValueError, match="no training image shows class 10"):
        class_features(method.critic, images.double(), labels, num_classes=11, most=1)


@pytest.mark.parametrize(("settings", "said"), [
    (("+method.class_features=2", "method.critic.feature_dim=320"), "set method.generator.embedding_dim=320"),
    (("+method.class_features=2", "method.generator.embedding_dim=320"), "knows its classes by 10 x 0 numbers, got 10 x 320"),
    (("+method.class_features=2", "method.conditional=false"), "this run has none"),
    (("+method.class_features=-1",), "class_features must be at least 0"),
])  # fmt: skip
def test_features_that_fit_nothing_are_refused(settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit(*POLY_INR, *settings, num_steps=1)
