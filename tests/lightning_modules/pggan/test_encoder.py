"""An encoder for a trained PGGAN: what it learns from, what stays as it is, and the searches that start from it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.digits import Digits
from generative.inversion.measurements import Masked
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.pggan.encoder import PGGANEncoder, with_known
from lightning_modules.pggan.layers import pixel_norm
from lightning_modules.pggan.module import PGGAN
from lightning_modules.pggan.networks import Critic, Generator
from lightning_modules.tasks.restoration import generator_of, inpaint
from lightning_modules.tasks.search import NOISE, Inversion, Targets, make_objective
from lightning_modules.weights import Weights

SMALL = {"base": 32, "most": 4}
CRITIC = functools.partial(Critic, **SMALL)


def small_run() -> PGGAN:
    """Of the generator and critic that :func:`made` takes."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam
    given: dict[str, Any] = {"generator_optimizer": optimizer, "critic_optimizer": optimizer, "critic": CRITIC}
    generator = functools.partial(Generator, latent_dim=4, **SMALL)
    return PGGAN(image_shape=(1, 8, 8), num_classes=3, seed=0, generator=generator, **given)


def made(**settings: Any) -> PGGANEncoder:
    torch.manual_seed(0)
    method = PGGANEncoder(
        image_shape=(1, 8, 8),
        num_classes=3,
        seed=0,
        generator=functools.partial(Generator, latent_dim=4, **SMALL),
        encoder=functools.partial(Critic, **SMALL),
        optimizer=torch.optim.Adam,
        **settings,
    )
    return method.double().eval()


def part(count: int = 6) -> dict[str, Any]:
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return {"image": images, "label": torch.zeros(count, dtype=torch.long), "first_number": 12}


def test_it_learns_codes_of_samples_and_pixels_of_images() -> None:
    method = made(pixel_weight=0.5)
    z, known = method.training_latents(part()), method.known_pixels(part())
    samples = method.averaged_generator(z)
    found = method.encoder(with_known(samples, known))
    code = (pixel_norm(z) - pixel_norm(found)).square().mean()
    again = method.averaged_generator(method.encoder(with_known(part()["image"], known)))
    expected = code + 0.5 * (again - part()["image"]).square().mean()
    torch.testing.assert_close(method.objective(part()), expected, rtol=1e-12, atol=0)
    method.objective(part()).backward()
    assert all(p.grad is None for p in [*method.generator.parameters(), *method.averaged_generator.parameters()])
    unused = [name for name, p in method.encoder.named_parameters() if p.grad is None]
    assert unused == ["from_image.0.weight", "from_image.0.bias"], "of 4 x 4 pixels"


def test_it_learns_features_of_the_critic_of_the_run() -> None:
    """Each place of each size, channels at unit length; the critic stays, and gives the generator and itself nothing."""
    method, without = made(feature_weight=0.8, critic=CRITIC), made()
    without.load_state_dict(method.state_dict(), strict=False)
    images, known = part()["image"], method.known_pixels(part())
    again = method.averaged_generator(method.encoder(with_known(images, known)))
    distance = torch.zeros((), dtype=torch.float64)
    for found, wanted in zip(method.critic.trunk(again), method.critic.trunk(images), strict=True):
        directions = [h / h.square().sum(dim=1, keepdim=True).sqrt() for h in (found, wanted)]
        distance = distance + (directions[0] - directions[1]).square().sum(dim=1).mean()
    expected = without.objective(part()) + 0.8 * distance
    torch.testing.assert_close(method.objective(part()), expected, rtol=1e-9, atol=0)
    method.objective(part()).backward()
    assert all(p.grad is None for p in [*method.critic.parameters(), *method.averaged_generator.parameters()])
    assert distance > 0.01
    assert not any(name.startswith("critic") for name in without.state_dict())


def test_a_gradient_of_features_reaches_the_encoder() -> None:
    method = made(feature_weight=1.0, critic=CRITIC, pixel_weight=0.0)
    images = part()["image"]
    again = method.averaged_generator(method.encoder(with_known(images, method.known_pixels(part()))))
    method.distance_of_features(again, images).backward()
    assert method.encoder.logit.weight.grad is not None
    assert method.encoder.logit.weight.grad.abs().max() > 0
    assert method.distance_of_features(images, images).item() == pytest.approx(0.0, abs=1e-12)


def test_the_critic_is_that_of_the_run_or_there_is_none() -> None:
    method, run = made(feature_weight=0.8, critic=CRITIC), small_run()
    method.take_weights(Weights("last.ckpt", run.state_dict(), None))
    for name, value in run.critic.state_dict().items():
        assert torch.equal(method.critic.state_dict()[name], value.double())
    assert not any(parameter.requires_grad for parameter in method.critic.parameters())
    of_generator = {name: value for name, value in run.state_dict().items() if not name.startswith("critic.")}
    with pytest.raises(
        ValueError, match=r"last\.ckpt holds no critic for feature_weight=0\.8: give .*feature_weight=0"
    ):
        method.take_weights(Weights("last.ckpt", of_generator, None))
    made().take_weights(Weights("last.ckpt", of_generator, None))
    with pytest.raises(ValueError, match=r"feature_weight=0\.8 takes features of a critic"):
        made(feature_weight=0.8)


def test_half_of_the_images_have_holes_by_their_number() -> None:
    method = made()
    known = method.known_pixels(part(400))
    assert known.shape == (400, 1, 8, 8)
    whole = known.flatten(1).all(dim=1)
    assert 0.4 < whole.double().mean() < 0.65
    hidden = (~known[~whole]).double().mean().item()
    assert 0.2 < hidden < 0.5, "0.3 on average, more where nothing hidden is left out"
    later = method.known_pixels(part(10) | {"first_number": 15})
    assert torch.equal(later, known[3:13])


def test_nothing_of_the_hole_is_read() -> None:
    method, images = made(), part()["image"]
    known = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)) > 0.4
    codes = method.encode(images, known)
    assert torch.equal(codes, method.encode(torch.where(known, images, torch.nan), known))
    torch.testing.assert_close(
        codes.square().mean(dim=1), torch.ones(6, dtype=torch.float64), rtol=1e-3, atol=0
    )  # the norm adds 1e-8
    assert torch.equal(method.encode(images), method.encode(images, torch.ones_like(known)))


def test_searches_start_where_it_says() -> None:
    method, images = made(), part()["image"]
    objective = make_objective(method, pixel="l2", perceptual=0)
    inversion = Inversion(method, objective, seed=0, steps=1, rate=None, batch_size=6, start="encoder")
    known = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)) > 0.4
    targets = Targets(images, None, Masked(known))
    codes = method.encode(images, known)
    assert torch.equal(inversion.starts(targets, num_latents=1), codes)
    several = inversion.starts(targets, num_latents=3)
    torch.testing.assert_close(several, codes[:, None] + NOISE * inversion.random_starts(targets, 3))
    again = inversion.starts(targets.times(2), num_latents=1)
    assert torch.equal(again[::2], codes)
    assert not torch.allclose(again[1::2], codes)


def test_it_is_an_arm_of_inpainting(tmp_path: Path) -> None:
    method = made().float()
    given: dict[str, Any] = {"seed": 0, "datamodule": Digits(batch_size=8, seed=0), "steps": 2, "count": 3}
    inpaint(method, tmp_path, arms=["encoder", "z"], start="encoder", **given)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "encoder",
        "encoder_seamless",
        "z",
        "z_raw",
        "z_seamless",
    }
    inpaint(method, tmp_path, arms=["encoder", "z"], start="encoder", **given)
    with torch.no_grad():
        method.averaged_encoder.logit.bias.add_(0.1)
    with pytest.raises(ValueError, match="holds results of other settings"):  # of an encoder that was trained again
        inpaint(method, tmp_path, arms=["encoder", "z"], start="encoder", **given)


def test_the_generator_is_that_of_the_run_that_it_names() -> None:
    torch.manual_seed(1)
    config = plain(compose("train", ["experiment=none", "method=pggan", "datamodule=digits", "run_dir=x"]))
    pggan = build(config)[1]
    assert isinstance(pggan, PGGAN)
    encoder = build(
        plain(compose("train", ["experiment=none", "method=pggan_encoder", "datamodule=digits", "run_dir=x"]))
    )[1]
    assert isinstance(encoder, PGGANEncoder)
    first = {name: value.clone() for name, value in encoder.encoder.state_dict().items()}
    mark = generator_of(pggan)["generator"]
    assert generator_of(encoder)["generator"] != mark
    encoder.take_weights(Weights("last.ckpt", pggan.state_dict(), None))
    of_run: Tensor
    for name, of_run in pggan.averaged_generator.state_dict().items():
        assert torch.equal(encoder.averaged_generator.state_dict()[name], of_run)
        assert torch.equal(encoder.generator.state_dict()[name], of_run)
    assert generator_of(encoder)["generator"] == mark, "by which a table knows whose encoder it is"
    assert all(torch.equal(encoder.encoder.state_dict()[name], value) for name, value in first.items())
    assert not any(parameter.requires_grad for parameter in encoder.generator.parameters())


@pytest.mark.parametrize("value", [-1.0, float("nan")])
@pytest.mark.parametrize("name", ["pixel_weight", "feature_weight"])
def test_a_weight_that_is_none(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        made(**{name: value})
