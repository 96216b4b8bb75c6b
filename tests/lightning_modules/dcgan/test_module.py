"""DCGAN's recipe: which network learns when, by which loss, and what bounds the critic's slope."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.optim import Optimizer

from generative.adversarial.penalties import gradient_penalty
from generative.randomness import Stream
from launch.build import build
from launch.compose import compose, group_options, plain
from lightning_modules.base import Method
from lightning_modules.dcgan.module import DCGAN
from lightning_modules.dcgan.moment_matching import MomentMatching
from tests.support.ranks import fit

LOSSES = group_options("loss")
SMALL = ("method=dcgan", "datamodule.batch_size=8", "method.generator.width=4", "method.critic.width=4")


def built(*overrides: str) -> Method:
    config = plain(compose("train", ["experiment=none", "method=dcgan", "run_dir=run", *overrides]))
    torch.manual_seed(0)
    return build(config)[1]


class Steps(Callback):
    """Which network each optimiser step moved: "generator" or "critic", and images seen before it."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps, self.taken = num_steps, 0
        self.order: list[tuple[int, str]] = []

    def on_train_start(self, trainer: Trainer, method: Any) -> None:  # type: ignore[override]
        def name(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            first = optimizer.param_groups[0]["params"][0]
            network = next(key.split(".")[0] for key, value in method.named_parameters() if value is first)
            self.order.append((method.images_seen, network))

        for optimizer in trainer.optimizers:
            optimizer.register_step_pre_hook(name)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.taken += 1
        trainer.should_stop = self.taken >= self.num_steps


def order_of(*overrides: str, num_batches: int) -> list[tuple[int, str]]:
    steps = Steps(num_batches)
    fit(*SMALL, *overrides, num_steps=num_batches, callbacks=[steps])
    return steps.order


def test_the_base_code_takes_one_step_of_the_critic_and_two_of_the_generator() -> None:
    assert order_of(num_batches=2) == [
        (0, "critic"), (0, "generator"), (0, "generator"), (8, "critic"), (8, "generator"), (8, "generator")
    ]  # fmt: skip


def test_the_generator_learns_after_every_third_batch() -> None:
    order = order_of("method.critic_steps=3", "method.generator_steps=1", num_batches=6)
    assert [network for _, network in order] == ["critic"] * 3 + ["generator"] + ["critic"] * 3 + ["generator"]
    assert [seen for seen, network in order if network == "generator"] == [16, 40]


def test_clipping_bounds_every_weight_of_the_critic_and_none_of_the_generator() -> None:
    outcome, *_ = fit(*SMALL, "+loss=wasserstein_clipping", num_steps=2)
    of = {
        network: torch.cat([value.flatten() for key, value in outcome.weights.items() if key.startswith(network)])
        for network in ("critic.", "generator.")
    }
    assert of["critic."].abs().max() == pytest.approx(0.01, abs=1e-12), "weights of deviation 0.02 reach the limit"
    assert of["generator."].abs().max() > 0.02


def test_the_penalty_is_added_with_its_weight_between_images_and_fakes() -> None:
    method = built("method.loss=wasserstein", "method.penalty_weight=3")
    assert isinstance(method, DCGAN)
    real, fake = torch.rand(2, 4, 1, 8, 8) * 2 - 1
    method.draw = lambda _: fake  # type: ignore[method-assign]
    loss = method.critic_objective({"image": real, "label": None, "first_number": 7})
    plain_loss, penalty = (torch.stack(method.recorded[name])[0] for name in ("loss/critic", "penalty/gradient"))
    assert loss.item() == pytest.approx((plain_loss + 3 * penalty).item(), rel=1e-6)
    shares = Stream(method.seed, "between").uniform(7, 4)
    expected = gradient_penalty(method.critic, real, fake, shares)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-6)
    method.penalty_weight = 0
    method.recorded = {}
    assert method.critic_objective({"image": real, "label": None, "first_number": 7}).item() == plain_loss.item()
    assert "penalty/gradient" not in method.recorded


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_one_override_of_an_experiment(loss: str) -> None:
    """Of one whose critic has batch norm, which two of the losses take out."""
    config = plain(compose("train", ["experiment=dcgan/cifar10", f"+loss={loss}", "run_dir=run"]))
    with torch.device("meta"):
        _, method = build(config)
    assert isinstance(method, MomentMatching if loss.startswith("mmd") else DCGAN)
    assert len(method.configure_optimizers()) == (1 if loss == "mmd_fixed" else 2)


def settings_of(loss: str) -> dict[str, Any]:
    config: dict[str, Any] = plain(compose("train", ["experiment=dcgan/digits", f"+loss={loss}", "run_dir=run"]))[
        "method"
    ]
    return config


def test_the_published_settings_of_the_wasserstein_losses() -> None:
    clipping, penalty = settings_of("wasserstein_clipping"), settings_of("wasserstein_penalty")
    for settings in (clipping, penalty):
        assert (settings["loss"], settings["critic_steps"], settings["generator_steps"]) == ("wasserstein", 5, 1)
    assert (clipping["weight_limit"], clipping["penalty_weight"]) == (0.01, 0)
    assert (penalty["weight_limit"], penalty["penalty_weight"]) == (0, 10)
    assert penalty["critic"]["normalization"] == "none"
    for network in ("generator_optimizer", "critic_optimizer"):
        assert clipping[network] == {"_target_": "torch.optim.RMSprop", "_partial_": True, "lr": 5e-5}
        assert (penalty[network]["lr"], penalty[network]["betas"]) == (1e-4, [0.0, 0.9])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.loss=hingee"], "unknown loss 'hingee': choose one of hinge, "),
        (["method.loss_settings={margin: 2}"], "loss 'logistic' has no setting 'margin': it takes none"),
        (["method.critic_steps=0"], "critic_steps must be at least 1, got 0"),
        (["method.generator_steps=-1"], "generator_steps must be at least 1, got -1"),
        (["method.penalty_weight=-10"], "penalty_weight must be at least 0, got -10"),
        (["method.weight_limit=-0.01"], "weight_limit must be at least 0, got -0.01"),
        (["method.weight_limit=nan"], "weight_limit must be a finite number of at least 0, got nan"),
        (["method.sample_statistics=mean"], "unknown sample_statistics 'mean': choose one of running, batch"),
        (
            ["method.penalty_weight=10", "method.critic.normalization=batch"],
            r"penalty_weight above 0 needs a critic without batch norm, and norms\.1 is one: choose critic.normalization=none",
        ),
    ],
)
def test_settings_that_no_recipe_has_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built(*overrides)


def test_classes_that_are_not_there_are_refused() -> None:
    conditional, other = built("method.conditional=true"), built()
    assert (conditional.num_classes, other.num_classes) == (10, 0)
    assert isinstance(conditional, DCGAN)
    assert isinstance(other, DCGAN)
    with pytest.raises(ValueError, match="class 10 is out of range: this model has classes 0 to 9"):
        conditional.sample(0, 1, seed=0, labels=[10])
    with pytest.raises(ValueError, match="this model is unconditional"):
        other.sample(0, 1, seed=0, labels=[1])


def test_both_networks_get_the_label_of_every_image() -> None:
    """Images, fakes, and the points between them that the penalty looks at."""
    method = built("method.conditional=true", "method.loss=wasserstein", "method.penalty_weight=1")
    assert isinstance(method, DCGAN)
    seen: list[tuple[str, list[int]]] = []
    for name in ("generator", "critic"):
        network = getattr(method, name)
        network.register_forward_hook(lambda _, inputs, __, name=name: seen.append((name, inputs[1].tolist())))
    labels = torch.tensor([3, 0, 9, 3])
    part = {"image": torch.rand(4, 1, 8, 8) * 2 - 1, "label": labels, "first_number": 0}
    method.critic_objective(part)
    method.generator_objective(part)
    networks = ["generator", "critic", "critic", "critic", "generator", "critic"]
    assert seen == [(name, labels.tolist()) for name in networks]
