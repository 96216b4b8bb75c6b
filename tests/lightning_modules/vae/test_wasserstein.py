"""The recipe of the Wasserstein autoencoder: its loss by hand, what its kernel says, what it does not say."""

from __future__ import annotations

import pytest
import torch

from datamodules.digits import Digits
from generative.adversarial.mmd import SCALES, inverse_multiquadratic_mmd
from generative.randomness import Stream
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.vae.wasserstein import WAE


def made(*overrides: str) -> WAE:
    torch.manual_seed(0)
    method = build(plain(compose("train", ["experiment=none", "method=wae", "run_dir=x", *overrides])))[1]
    assert isinstance(method, WAE)
    return method.double()


def mean_kernel(x: torch.Tensor, y: torch.Tensor, *, same: bool) -> torch.Tensor:
    """The mean over pairs of rows [N, D], without those of a row and itself where both are the ``same``."""
    total, pairs = torch.zeros((), dtype=torch.float64), 0
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            if same and i == j:
                continue
            distance = ((a - b) ** 2).sum()
            total += sum(2 * len(a) * s / (2 * len(a) * s + distance) for s in SCALES) / len(SCALES)
            pairs += 1
    return total / pairs


def test_the_loss_by_hand_in_groups_of_neighbours() -> None:
    method = made("method.weight=3", "method.group_size=4")
    images, labels = (rows[:8] for rows in Digits(batch_size=1, seed=0).split("train"))
    images = images.double()
    z = method.encoder(images, labels).mean
    prior = Stream(0, "latents").normal(40, 8, 16).double()
    found = []
    for rows in (slice(0, 4), slice(4, 8)):
        x, y = z[rows], prior[rows]
        found.append(mean_kernel(x, x, same=True) + mean_kernel(y, y, same=True) - 2 * mean_kernel(x, y, same=False))
    error = (0.5 * images + 0.5 - method.decoder(z, labels)).square().sum() / 8
    loss = method.objective({"image": images, "label": labels, "first_number": 40})
    torch.testing.assert_close(loss, error + 3 * torch.stack(found).mean(), rtol=1e-6, atol=1e-9)
    loss.backward()
    assert all(parameter.grad is not None for parameter in method.parameters() if parameter.requires_grad)


def test_the_discrepancy_tells_a_law_from_its_copy_and_from_another() -> None:
    rows = torch.randn(3, 1, 400, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert abs(float(inverse_multiquadratic_mmd(rows[0], rows[1]))) < 0.004
    assert float(inverse_multiquadratic_mmd(rows[0], 0.5 * rows[2])) > 0.02
    assert float(inverse_multiquadratic_mmd(rows[0], rows[2] + 1.0)) > 0.02


def test_it_has_no_likelihood() -> None:
    assert not WAE.test_tasks()
    assert "elbo" not in WAE.directions()


@pytest.mark.parametrize(("overrides", "message"), [
    (["method.group_size=1"], "group_size must be at least 2, got 1"),
    (["method.weight=-1"], "weight must be at least 0, got -1"),
    (["+method.sigma=1"], "has no argument 'sigma'"),
])  # fmt: skip
def test_bad_settings_are_one_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(*overrides)
