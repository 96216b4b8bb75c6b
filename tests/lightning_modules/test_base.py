"""Capabilities by their contract, on methods of a few lines each: measures, samples, updates, averages and rates."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from generative.averaging import averaged_copy
from generative.randomness import Stream
from launch.quiet import quiet
from lightning_modules.base import Classifies, Detects, HasLatents, Method, Reconstructs, Segments
from metrics.measures import CLASSIFICATION, DETECTION, GENERATION, RECONSTRUCTION, SEGMENTATION, Measures

FACTS: dict[str, Any] = {"image_shape": (1, 2, 2), "num_classes": 3, "seed": 7}
NAMES = ("first", "second", "third")


class Decoder(HasLatents):
    """Latents are images but for a factor a class."""

    latent_dim = 4

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        assert labels is not None
        return (psi * latents * (labels[:, None] + 1)).unflatten(1, self.image_shape)


class AllInOne(Decoder, Reconstructs, Classifies):
    """It draws, reconstructs and classifies, and has a measure of its own."""

    measures: Measures = {"smoothness": "higher"}  # noqa: RUF012
    num_features = 4

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return images

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def classify(self, features: Tensor) -> Tensor:
        return features[:, : self.num_classes]


class Segmenter(Segments):
    def segment(self, images: Tensor) -> Tensor:
        return images


class Detector(Detects):
    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        return []


@pytest.mark.parametrize(
    ("kind", "expected", "tasks"),
    [
        (Method, {}, ()),
        (Decoder, GENERATION, ()),
        (Segmenter, SEGMENTATION, ("segmentation",)),
        (Detector, DETECTION, ("detection",)),
        (AllInOne, {"smoothness": "higher", **GENERATION, **RECONSTRUCTION, **CLASSIFICATION}, ("classification",)),
    ],
)
def test_a_method_is_judged_by_all_that_it_can(kind: type[Method], expected: Measures, tasks: tuple[str, ...]) -> None:
    assert kind.directions() == expected
    assert kind.test_tasks() == tasks


def test_two_tests_of_one_method_are_both_its_tasks() -> None:
    class Both(Segmenter, Detector):
        pass

    assert Both.test_tasks() == ("segmentation", "detection")
    assert Both.directions() == {**SEGMENTATION, **DETECTION}


def test_capabilities_that_disagree_on_a_measure_are_refused() -> None:
    class Contradicts(AllInOne):
        measures: Measures = {"accuracy": "lower"}  # noqa: RUF012

    with pytest.raises(ValueError, match="the measure 'accuracy' is better when lower and better when higher"):
        Contradicts.directions()


def test_nothing_is_concluded_or_measured_unless_a_method_says_so() -> None:
    method = AllInOne(**FACTS)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.conclude(object())  # type: ignore[arg-type] # which it does not ask for anything
    assert method.state_dict().keys() == before.keys()
    assert method.test_results() == {}
    with pytest.raises(ValueError, match="AllInOne has no compiled code to draw by: leave out compile=true"):
        method.compile_drawing()


def test_a_sample_is_a_decoded_latent() -> None:
    method = Decoder(**FACTS)
    labels = torch.tensor([2, 0, 1])
    latents = method.latents(5, 3, seed=9)
    assert torch.equal(method.sample(5, 3, seed=9, labels=labels, psi=0.5), method.decode(latents, labels, psi=0.5))
    balanced = method.decode(latents, torch.tensor([2, 0, 1]))  # 5, 6, 7 mod 3
    assert torch.equal(method.sample(5, 3, seed=9), balanced)
    with pytest.raises(ValueError, match="class 3 is out of range: this model has classes 0 to 2"):
        method.sample(0, 1, seed=9, labels=[3])


def test_the_prior_is_normal_and_addressed_by_number() -> None:
    method = Decoder(**FACTS).double()
    latents = method.latents(10, 6, seed=3, stream="a")
    assert latents.dtype == torch.float64
    assert torch.equal(latents, Stream(3, "a").normal(10, 6, 4).double())
    assert torch.equal(latents[2:4], method.latents(12, 2, seed=3, stream="a"))
    part = {"first_number": 40, "image": torch.zeros(5, 1, 2, 2)}
    assert torch.equal(method.training_latents(part), method.latents(40, 5, seed=7, stream="latents"))
    many = method.latents(0, 20_000, seed=0)
    assert many.mean().abs() < 0.01
    assert many.std() == pytest.approx(1.0, abs=0.01)


class Three(Method):
    """Three networks after each other, each with its optimiser; two have an average."""

    def __init__(self, **given: Any) -> None:
        super().__init__(image_shape=(1, 2, 2), num_classes=0, seed=0, **given)
        torch.manual_seed(0)
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.averaged_first, self.averaged_third = averaged_copy(self.first), averaged_copy(self.third)
        self.double()
        self.factor = 1.0
        self.gradients: dict[str, dict[str, Tensor]] = {}

    def configure_optimizers(self) -> list[Optimizer]:
        make = functools.partial(torch.optim.SGD, lr=0.1)
        return [make(getattr(self, name).parameters()) for name in NAMES]

    def objective(self, part: dict[str, Any]) -> Tensor:
        answer = self.third(torch.tanh(self.second(torch.tanh(self.first(part["image"].flatten(1))))))
        loss = (answer - part["image"].flatten(1).sum(dim=1, keepdim=True)).square().mean()
        self.record({"loss/square": loss})
        return loss

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        self.set_rates(self.factor)
        for name, optimizer in zip(NAMES, self.optimizers(), strict=True):  # type: ignore[arg-type]
            self.zero_grad()
            self.update(optimizer, self.objective, batch)
            self.gradients[name] = {
                key: value.grad.clone() for key, value in self.named_parameters() if value.grad is not None
            }
        self.move_average()
        self.count_images(batch["image"])


def batch(first_number: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(first_number)
    return {"image": torch.rand(8, 1, 2, 2, dtype=torch.float64, generator=generator), "first_number": first_number}


def train(method: Three, *, steps: int = 1) -> Three:
    quiet()
    trainer = Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(method, DataLoader([batch(8 * i) for i in range(steps)], batch_size=None))  # type: ignore[arg-type]
    return method


def test_an_update_gives_gradients_to_its_own_network_alone() -> None:
    method = train(Three())
    assert method.gradients.keys() == set(NAMES)
    for name, gradients in method.gradients.items():
        assert gradients.keys() == {f"{name}.weight", f"{name}.bias"}
        assert all(bool(gradient.abs().sum() > 0) for gradient in gradients.values())


def test_an_update_is_the_step_of_its_optimiser_down_the_mean_of_the_batch() -> None:
    """One by one, each from what the networks before it have become."""
    expected = Three()
    for name in NAMES:
        own = list(getattr(expected, name).parameters())
        gradients = torch.autograd.grad(expected.objective(batch()), own)
        with torch.no_grad():
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter -= 0.1 * gradient
    for key, value in weights(train(Three())):
        torch.testing.assert_close(value, expected.get_parameter(key), rtol=1e-12, atol=1e-14)


def weights(method: Three) -> Iterator[tuple[str, Tensor]]:
    return ((key, value) for key, value in method.named_parameters() if not key.startswith("averaged_"))


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_parts_of_a_batch_give_the_weights_of_the_whole(accumulate: int) -> None:
    whole, parts = train(Three(), steps=3), train(Three(accumulate=accumulate), steps=3)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[key], value, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(parts.losses["loss/square"], whole.losses["loss/square"])


def test_a_batch_that_parts_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the 8 images .* cannot be cut into 3 equal parts"):
        train(Three(accumulate=3))
    with pytest.raises(ValueError, match="accumulate must be at least 1, got 0"):
        Three(accumulate=0)


@pytest.mark.parametrize("factor", [0.0, 0.25])
def test_rates_are_a_factor_of_those_that_were_configured(factor: float) -> None:
    """Set anew at each step: twice does not multiply."""
    method = Three()
    method.factor = factor
    start = {key: value.clone() for key, value in weights(method)}
    train(method, steps=2)
    for optimizer in method.trainer.optimizers:
        assert [group["lr"] for group in optimizer.param_groups] == [0.1 * factor]
    assert all(torch.equal(value, start[key]) for key, value in weights(method)) == (factor == 0)


def test_averages_are_found_by_name() -> None:
    method = Three()
    assert [(a is b) for a, b in zip(flat(method.averages()), averaged_pairs(method), strict=True)] == [True] * 4
    method.train()
    assert method.first.training
    assert not method.averaged_first.training
    assert not method.averaged_third.training


def averaged_pairs(method: Three) -> list[nn.Module]:
    return [method.first, method.averaged_first, method.third, method.averaged_third]


def flat(pairs: list[tuple[nn.Module, nn.Module]]) -> list[nn.Module]:
    return [module for pair in pairs for module in pair]


@pytest.mark.parametrize("half_life", [4.0, 8.0])
def test_an_average_moves_by_the_images_of_the_step(half_life: float) -> None:
    """One step of 8 images: 0.5 ** (8 / half-life) of what it was is left."""
    method = train(Three(half_life_images=half_life, average_ramp_up=0.0))
    start, left = Three(), 0.5 ** (8 / half_life)
    for network in ("first", "third"):
        expected = left * getattr(start, network).weight + (1 - left) * getattr(method, network).weight
        torch.testing.assert_close(getattr(method, f"averaged_{network}").weight, expected, rtol=1e-12, atol=1e-14)


def test_an_average_of_nothing_names_itself() -> None:
    method = Three()
    method.averaged_fourth = nn.Linear(1, 1)
    with pytest.raises(AttributeError, match="fourth"):
        method.averages()
