"""What batch norm does to a midpoint: closed forms for a layer that has learned nothing, by running averages and by the batch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.dcgan.networks import NORMALIZATIONS, batch_statistics

UNITS, BATCH, BATCHES = 256, 64, 100
# After the ReLU of a normal unit of variance 1: mean 1 / sqrt(2 pi), variance (1 - 1 / pi) / 2.
MEAN, VARIANCE = 1 / math.sqrt(2 * math.pi), (1 - 1 / math.pi) / 2
# Of a unit that is normalised among n = 64 the square is (n - 1) times a Beta(1/2, (n - 2)/2), and its mean is 1 exactly.
MEAN_OF_BATCH = math.sqrt((BATCH - 1) / math.pi) / 2 * math.exp(math.lgamma((BATCH - 1) / 2) - math.lgamma(BATCH / 2))
VARIANCE_OF_BATCH = 0.5 - MEAN_OF_BATCH**2


class Layer(nn.Module):
    """Latents [B, 256] -> 256 units after the generator's batch norm and ReLU; rows of its weights are orthogonal.

    So the units of normal latents are independent, and a mean over images and units has the error of as many draws.
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(UNITS, UNITS, bias=False, dtype=torch.float64)
        nn.init.orthogonal_(self.linear.weight, gain=3.0)
        self.norm = NORMALIZATIONS["batch"](UNITS).double()

    def forward(self, z: Tensor) -> Tensor:
        return F.relu(self.norm(self.linear(z)[:, :, None, None]))


@pytest.fixture(scope="module")
def layer() -> Layer:
    """Its running averages have seen the prior."""
    torch.manual_seed(0)
    layer = Layer()
    with torch.no_grad():
        for _ in range(BATCHES):
            layer(torch.randn(BATCH, UNITS, dtype=torch.float64))
    return layer.eval()


def latents(what: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    one, other = torch.randn(2, BATCHES, BATCH, UNITS, dtype=torch.float64, generator=generator)
    return list(one if what == "prior" else (one + other) / 2)


# Draws that a value rests on: those it is taken of, and those that averages with a decay of 0.9 remember, 1.9 / 0.1 batches.
TAKEN, REMEMBERED = BATCHES * BATCH * UNITS, 19 * BATCH * UNITS


@torch.no_grad()
@pytest.mark.parametrize(
    ("statistics", "what", "mean", "variance"),
    [
        ("running", "prior", MEAN, VARIANCE),
        ("running", "midpoint", MEAN / math.sqrt(2), VARIANCE / 2),
        ("batch", "prior", MEAN_OF_BATCH, VARIANCE_OF_BATCH),
        ("batch", "midpoint", MEAN_OF_BATCH, VARIANCE_OF_BATCH),
    ],
)
def test_a_midpoint_shrinks_on_running_averages_and_is_the_prior_on_batch_statistics(
    layer: Layer, statistics: str, what: str, mean: float, variance: float
) -> None:
    """0.39894 and 0.34085 by running averages, 0.28209 and 0.17042 of midpoints; by the batch both are the prior's."""
    if statistics == "batch":
        with batch_statistics(layer):
            shown = torch.cat([layer(z) for z in latents(what)])
    else:
        shown = torch.cat([layer(z) for z in latents(what)])
    # Five standard errors of a mean of x and of x^2, by the moments of the prior: var x = 0.341, var x^2 = 3/2 - 1/4.
    draws = 1 / TAKEN + (1 / REMEMBERED if statistics == "running" else 0)
    assert float(shown.mean()) == pytest.approx(mean, abs=5 * math.sqrt(VARIANCE * draws))
    assert float(shown.var()) == pytest.approx(variance, abs=5 * math.sqrt(1.25 * draws))


def test_the_closed_forms_are_the_published_ones() -> None:
    assert [round(value, 5) for value in (MEAN, VARIANCE, MEAN / math.sqrt(2), VARIANCE / 2)] == [
        0.39894,
        0.34085,
        0.28209,
        0.17042,
    ]
    assert [round(value, 3) for value in (MEAN_OF_BATCH, VARIANCE_OF_BATCH)] == [0.401, 0.340]


@torch.no_grad()
def test_batch_statistics_are_those_of_the_training_and_leave_the_averages_alone(layer: Layer) -> None:
    z = latents("midpoint")[0]
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with batch_statistics(layer):
        shown = layer(z)
    with pytest.raises(RuntimeError, match="interrupted"), batch_statistics(layer):
        raise RuntimeError("interrupted")
    after = layer.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(shown, F.relu(F.batch_norm(layer.linear(z)[:, :, None, None], None, None, training=True)))
    assert not torch.equal(shown, layer(z)), "by running averages again"


@torch.no_grad()
def test_the_switch_is_kept_by_batch_norm_that_is_shared_by_ranks(layer: Layer) -> None:
    shared = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(layer)).eval()
    assert isinstance(shared[0].norm, nn.SyncBatchNorm)
    z = latents("midpoint")[0]
    by_averages = shared(z)
    with batch_statistics(shared):
        by_batch = shared(z)
    assert torch.equal(by_batch, F.relu(F.batch_norm(layer.linear(z)[:, :, None, None], None, None, training=True)))
    assert not torch.allclose(by_batch, by_averages)
