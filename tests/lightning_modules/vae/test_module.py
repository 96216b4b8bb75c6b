"""The recipe of the variational autoencoder: where classes enter, what noise an image gets, what is drawn and tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from datamodules.digits import Digits
from generative.randomness import Stream
from launch.build import build
from launch.checkpoint import load_method
from launch.compose import compose, plain
from lightning_modules.vae.bound import Posterior
from lightning_modules.vae.module import VAE

SmallRun = Callable[..., tuple[Path, dict[str, float]]]


def made(*overrides: str, datamodule: str = "digits") -> VAE:
    torch.manual_seed(0)
    given = ["experiment=none", "method=vae", f"datamodule={datamodule}", "run_dir=x", *overrides]
    method = build(plain(compose("train", given)))[1]
    assert isinstance(method, VAE)
    return method


def part(count: int = 6, first: int = 40) -> dict[str, Tensor | int]:
    images, labels = Digits(batch_size=1, seed=0).split("train")
    return {"image": images[:count], "label": labels[:count], "first_number": first}


def test_the_loss_by_hand_at_the_points_that_the_numbers_of_the_images_say() -> None:
    method = made("method.beta=3", "method.sigma=0.2").double()
    images, labels = part()["image"], part()["label"]
    assert isinstance(images, Tensor)
    images = images.double()
    posterior = method.encoder(images, labels)
    noise = torch.cat([Stream(0, "posterior").normal(number, 1, 16) for number in range(40, 46)]).double()
    z = posterior.mean + torch.exp(0.5 * posterior.log_variance) * noise
    drawn = method.decoder(z, labels)
    sigma = method.decoder.law.log_sigma.exp()
    law = torch.distributions.Normal(drawn, sigma)
    likelihood = law.log_prob(0.5 * images + 0.5).sum(dim=(1, 2, 3))
    normal = torch.distributions.Normal(0.0, 1.0)
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.log_variance)), normal
    ).sum(dim=1)
    loss = method.objective({"image": images, "label": labels, "first_number": 40})
    torch.testing.assert_close(loss, (3 * divergence - likelihood).mean(), rtol=1e-9, atol=1e-9)
    assert not torch.equal(loss, method.objective({"image": images, "label": labels, "first_number": 41}))


def test_a_class_shifts_the_posterior_and_changes_what_is_drawn() -> None:
    method = made()
    images = part()["image"]
    ones, twos = torch.ones(6, dtype=torch.int64), torch.full((6,), 2)
    assert torch.equal(method.encoder(images, ones).mean, method.encoder(images, twos).mean), "nothing at first"
    with torch.no_grad():
        method.encoder.of_class.weight[:, 2] += torch.arange(32.0)
    shift = method.encoder(images, twos).mean - method.encoder(images, ones).mean
    torch.testing.assert_close(shift, torch.arange(16.0).expand(6, 16), rtol=0, atol=1e-4)
    shift = method.encoder(images, twos).log_variance - method.encoder(images, ones).log_variance
    torch.testing.assert_close(shift, torch.arange(16.0, 32.0).expand(6, 16), rtol=0, atol=1e-4)
    latents = method.latents(0, 6, seed=1)
    assert not torch.allclose(method.decode(latents, ones), method.decode(latents, twos))
    for call in (lambda: method.decode(latents), lambda: method.reconstruct(images)):
        with pytest.raises(ValueError, match="this network is conditional: give a label below 10 for each image"):
            call()


def test_without_classes_labels_say_nothing() -> None:
    method = made("method.conditional=false")
    images, labels = part()["image"], part()["label"]
    assert method.num_classes == 0
    assert method.sample(0, 2, seed=0).shape == (2, 1, 8, 8)
    assert torch.equal(method.reconstruct(images, labels), method.reconstruct(images))
    assert method.objective(part()).isfinite()  # type: ignore[arg-type]
    with_classes = sum(parameter.numel() for parameter in made().parameters())
    assert with_classes - sum(parameter.numel() for parameter in method.parameters()) == 2 * 10 * (2 * 16 + 16 * 2 * 2)


def test_a_reconstruction_is_drawn_at_the_mean_and_images_are_in_their_range(monkeypatch: pytest.MonkeyPatch) -> None:
    method = made().eval()
    images, labels = part()["image"], part()["label"]
    posterior = method.averaged_encoder(images, labels)
    again = method.reconstruct(images, labels)
    torch.testing.assert_close(again, 2 * method.averaged_decoder(posterior.mean, labels) - 1)
    monkeypatch.setattr(Posterior, "at", None)
    assert torch.equal(again, method.reconstruct(images, labels)), "no noise"
    assert -1 <= again.min() < again.max() <= 1


def test_the_rate_falls_along_a_cosine() -> None:
    method = made("max_kimg=10")
    factors = []
    for seen in (0, 5_000, 10_000):
        method.images_seen = seen
        factors.append(method.rate_factor())
    assert factors == pytest.approx([1.0, 0.5, 0.0])


def test_the_bound_of_the_test_images_is_in_the_results(small_run: SmallRun) -> None:
    """The mean over every test image, at a point of its posterior that its number says, under the averages."""
    folder, _ = small_run("method=vae", "max_kimg=0.032", "callbacks.metrics.test_metrics=[fd]")
    records = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    (record,) = [record for record in records if record["protocol"].get("task") == "likelihood"]
    method, _ = load_method(folder / "checkpoints" / "last.ckpt")
    assert isinstance(method, VAE)
    images, labels = Digits(batch_size=1, seed=0).split("test")
    noise = Stream(0, "posterior of the test images").normal(0, len(images), 16)
    with torch.no_grad():
        posterior = method.averaged_encoder(images, labels)
        drawn = method.averaged_decoder(posterior.at(noise), labels)
        kl = posterior.divergence().sum(dim=1)
        elbo = method.averaged_decoder.law(0.5 * (images + 1), drawn) - kl
    assert record["metrics"]["elbo"] == pytest.approx(float(elbo.mean()), rel=1e-4)
    assert record["metrics"]["kl"] == pytest.approx(float(kl.mean()), rel=1e-4)
    assert record["metrics"]["active_units"] == float((posterior.mean.var(dim=0, correction=0) > 0.01).sum()) > 0


@pytest.mark.parametrize(("overrides", "message"), [
    (["method.latent_dim=0"], "latent_dim must be at least 1, got 0"),
    (["method.beta=-1"], "beta must be at least 0, got -1"),
    (["method.budget_kimg=0"], "budget_kimg must be above 0, got 0"),
    (["method.likelihood=normal"], "unknown likelihood 'normal': choose one of gaussian, bernoulli"),
    (["method.likelihood=bernoulli", "method.sigma=1"], "sigma=1 is of likelihood=gaussian: leave it out"),
    (["method.decoder.plan=[[16],[16]]"], "plan"),
    (["+prior@method.prior=normal"], "has no argument 'prior'"),
])  # fmt: skip
def test_bad_settings_are_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(*overrides)


def test_classes_need_data_that_have_some() -> None:
    with pytest.raises(
        ValueError, match="conditional=true takes data with classes, and these have none: set conditional"
    ):
        made("datamodule.image_shape=[1,8,8]", datamodule="arrays")
