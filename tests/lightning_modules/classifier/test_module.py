"""The classifier as a recipe: what it learns, counts, keeps in its checkpoint and refuses."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from callbacks.budget import ImageBudget
from datamodules.base import ImageDataModule
from lightning_modules.classifier.module import Classifier
from lightning_modules.classifier.networks import Backbone


class Bars(ImageDataModule):
    """A bright row among noise: which of the rows it is, is the class; 203 test images."""

    image_shape = (1, 8, 8)
    num_classes = 8

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(len(split))
        labels = torch.arange(512 if split == "train" else 203) % self.num_classes
        images = torch.rand(len(labels), 1, 8, 8, generator=generator) * 0.8 - 1
        images[torch.arange(len(labels)), 0, labels] += 1
        return images, labels


class ThreeBars(Bars):
    num_classes = 3


def make(*, num_classes: int = 8, seed: int = 0, **changes: object) -> Classifier:
    torch.manual_seed(seed)
    backbone = {"architecture": "resnet10", "stem": "small"} | changes.pop("backbone", {})  # type: ignore[operator]
    settings = {
        "image_shape": (1, 8, 8),
        "backbone": functools.partial(Backbone, **backbone),
        "optimizer": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        "budget_kimg": 1.28,
    }
    method = Classifier(num_classes=num_classes, seed=seed, **(settings | changes))  # type: ignore[arg-type]
    method.run_config = {}
    return method


def trainer_for(kimg: float = 1.28) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[ImageBudget(max_kimg=kimg)],
    )


@pytest.fixture(scope="module")
def learned() -> tuple[Trainer, Classifier, ImageDataModule]:
    trainer, method, datamodule = trainer_for(), make(), Bars(batch_size=32, seed=0)
    trainer.fit(method, datamodule)
    return trainer, method, datamodule


def test_it_learns_what_can_be_told_apart(learned: tuple[Trainer, Classifier, ImageDataModule]) -> None:
    trainer, method, datamodule = learned
    trainer.test(method, datamodule, verbose=False)
    results = method.test_results()["classification"]
    assert results["accuracy"] > 0.98
    assert results["cross_entropy"] < 0.1 * math.log(8)


def test_results_equal_a_hand_count(learned: tuple[Trainer, Classifier, ImageDataModule]) -> None:
    """203 images in batches of 32: the last one has 11, and weighs as much as its images."""
    trainer, _, datamodule = learned
    method = make(seed=1)  # untrained, so that the two accuracies are apart
    trainer.test(method, datamodule, verbose=False)
    images, labels = datamodule.split("test")
    logits = method(images).double()
    ranks = (logits > logits.gather(1, labels[:, None])).sum(dim=1)
    expected = {
        "accuracy": float((ranks < 1).double().mean()),
        "top5_accuracy": float((ranks < 5).double().mean()),
        "cross_entropy": float((logits.logsumexp(dim=1) - logits.gather(1, labels[:, None])[:, 0]).mean()),
    }
    assert method.test_results()["classification"] == pytest.approx(expected, rel=1e-5)
    assert 0 < expected["accuracy"] < expected["top5_accuracy"] < 1


def test_a_second_test_counts_anew(learned: tuple[Trainer, Classifier, ImageDataModule]) -> None:
    trainer, method, datamodule = learned
    trainer.test(method, datamodule, verbose=False)
    first = method.test_results()["classification"]
    trainer.test(method, datamodule, verbose=False)
    assert method.test_results()["classification"] == first


def test_few_classes_have_no_top5() -> None:
    method, datamodule = make(num_classes=3), ThreeBars(batch_size=32, seed=0)
    assert method.test_results() == {}, "nothing was measured yet"
    trainer_for().test(method, datamodule, verbose=False)
    assert method.test_results()["classification"].keys() == {"accuracy", "cross_entropy"}


def test_the_checkpoint_holds_weights_and_no_counts(
    learned: tuple[Trainer, Classifier, ImageDataModule], tmp_path: Path
) -> None:
    trainer, method, datamodule = learned
    trainer.test(method, datamodule, verbose=False)
    assert method.test_metrics
    networks = [f"{name}.{key}" for name in ("network", "averaged_network") for key in method.network.state_dict()]
    assert sorted(method.state_dict()) == sorted(networks)


def test_the_average_never_trains() -> None:
    method = make()
    method.train()
    assert method.network.training
    assert not any(module.training for module in method.averaged_network.modules())
    before = {name: value.clone() for name, value in method.averaged_network.state_dict().items()}
    method(torch.randn(4, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in method.averaged_network.state_dict().items())


@pytest.mark.parametrize("architecture", ["resnet10", "mobilenet_v3_small"])
def test_features_are_classified_as_images_are(architecture: str) -> None:
    method = make(backbone={"architecture": architecture}).eval()
    images = torch.randn(4, 1, 8, 8, requires_grad=True)
    features = method.features(images)
    assert features.shape == (4, method.num_features)
    assert torch.equal(method.classify(features), method(images))
    method(images).sum().backward()
    assert images.grad is not None
    assert bool(images.grad.any()), "a judge can be asked for the gradient of its opinion"
    assert all(parameter.grad is None for parameter in method.parameters())


def test_the_rate_is_a_function_of_the_images_seen(learned: tuple[Trainer, Classifier, ImageDataModule]) -> None:
    """Budget 1,280 images, of which 5 % warm up: 64."""
    method = make()
    method.global_batch = 32
    rates = {}
    for method.images_seen in (0, 32, 64, 672 - 16, 1280 - 32):
        rates[method.images_seen] = method.rate_factor()
    assert rates[0] == pytest.approx(16 / 64)
    assert rates[32] == pytest.approx(48 / 64)
    assert rates[656] == pytest.approx(0.5)
    assert rates[1248] == pytest.approx(0.5 * (1 + math.cos(math.pi * 1200 / 1216)))
    assert min(rates.values()) > 0, "no step is idle"
    (group,) = learned[0].optimizers[0].param_groups
    assert group["lr"] / 0.05 == pytest.approx(rates[1248]), "the rate of the last step that was trained"


def test_dropout_is_a_function_of_the_image_number() -> None:
    method = make(backbone={"dropout": 0.5})
    factors = method.dropout_factors(100, 8)
    assert factors is not None
    halves = [method.dropout_factors(100, 4), method.dropout_factors(104, 4)]
    assert torch.equal(factors, torch.cat(halves))  # type: ignore[arg-type]
    assert make().dropout_factors(0, 8) is None


def test_training_with_everything_on_moves_no_global_random_state() -> None:
    method = make(label_smoothing=0.1, backbone={"dropout": 0.2, "normalization": "group"})
    trainer = trainer_for(0.064)
    state = torch.get_rng_state()
    trainer.fit(method, Bars(batch_size=32, seed=0, flip=True, crop_padding=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert method.images_seen == 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 0}, "needs data with at least 2 classes, and these have 0"),
        ({"num_classes": 1}, "needs data with at least 2 classes, and these have 1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, got 1.0"),
        ({"warmup_share": 1.0}, "warmup_share must be at least 0 and below 1, got 1.0"),
    ],
)
def test_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)  # type: ignore[arg-type]
