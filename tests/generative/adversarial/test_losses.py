"""Each loss of chapter 2 against its closed form: values, and the gradients that a logit gets."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor, nn

from generative.adversarial.losses import loss_pair

REAL = torch.tensor([0.3, -1.2, 2.5], dtype=torch.float64)
FAKE = torch.tensor([2.0, -0.4, 0.9], dtype=torch.float64)


def gradients(loss: str, **settings: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of the critic's loss by each logit of REAL and FAKE, of the generator's by each of FAKE; times their number."""
    critic, generator = loss_pair(loss, **settings)
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    by_real, by_fake = torch.autograd.grad(critic(real, fake), (real, fake))
    (by_own,) = torch.autograd.grad(generator(fake), fake)
    return 3 * by_real, 3 * by_fake, 3 * by_own


def check_gradients(loss: str, *expected: Tensor, **settings: float) -> None:
    for ours, theirs in zip(gradients(loss, **settings), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_logistic_is_the_cross_entropy_of_the_original_gan() -> None:
    critic, generator = loss_pair("logistic")
    entropy = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones_like(REAL), torch.zeros_like(REAL)
    torch.testing.assert_close(critic(REAL, FAKE), entropy(REAL, ones) + entropy(FAKE, zeros))
    torch.testing.assert_close(generator(FAKE), entropy(FAKE, ones))
    # A critic that says 0 of everything: the values of a coin.
    assert critic(zeros, zeros).item() == pytest.approx(2 * math.log(2), abs=1e-12)
    assert generator(zeros).item() == pytest.approx(math.log(2), abs=1e-12)
    check_gradients("logistic", -torch.sigmoid(-REAL), torch.sigmoid(FAKE), -torch.sigmoid(-FAKE))


def test_minimax_differs_from_logistic_in_the_generator_alone() -> None:
    critic, generator = loss_pair("minimax")
    torch.testing.assert_close(critic(REAL, FAKE), loss_pair("logistic")[0](REAL, FAKE))
    torch.testing.assert_close(generator(FAKE), (1 - torch.sigmoid(FAKE)).log().mean())
    check_gradients("minimax", -torch.sigmoid(-REAL), torch.sigmoid(FAKE), -torch.sigmoid(FAKE))
    sure = torch.tensor([-20.0], dtype=torch.float64, requires_grad=True)
    vanishing, kept = (
        torch.autograd.grad(loss_pair(name)[1](sure), sure)[0].item() for name in ("minimax", "logistic")
    )
    assert vanishing == pytest.approx(0, abs=1e-8)
    assert kept == pytest.approx(-1, abs=1e-8)


def test_at_the_best_critic_the_value_of_the_game_is_jensen_shannon() -> None:
    """Eq. 2.2 on two Gaussians of one dimension, N(0, 1) and N(1.5, 0.7^2): expectations and divergence by quadrature.

    Both expectations of the loss are weighted means of it at one logit; the best critic is the log-ratio of the densities.
    """
    real, fake = norm(0, 1), norm(1.5, 0.7)
    critic, _ = loss_pair("minimax")

    def loss_at(x: float, *, of_real: bool, offset: float = 0.0) -> float:
        logit = torch.tensor([real.logpdf(x) - fake.logpdf(x) + offset], dtype=torch.float64)
        zero = torch.zeros(1, dtype=torch.float64)
        both = critic(logit, zero) if of_real else critic(zero, logit)
        return both.item() - math.log(2)  # of which the logit 0 is the other half

    def value(offset: float = 0.0) -> float:
        of_real = quad(lambda x: real.pdf(x) * loss_at(x, of_real=True, offset=offset), -12, 12, epsabs=1e-9)[0]
        of_fake = quad(lambda x: fake.pdf(x) * loss_at(x, of_real=False, offset=offset), -12, 12, epsabs=1e-9)[0]
        return -(of_real + of_fake)

    def divergence_from_mean(law: norm, x: float) -> float:
        return law.pdf(x) * (law.logpdf(x) - math.log((real.pdf(x) + fake.pdf(x)) / 2))

    jensen_shannon = sum(quad(lambda x, law=law: divergence_from_mean(law, x), -12, 12)[0] / 2 for law in (real, fake))
    assert 0.2 < jensen_shannon < math.log(2)
    assert value() == pytest.approx(2 * jensen_shannon - 2 * math.log(2), abs=1e-6)
    assert value(offset=0.1) < value() - 1e-4, "another critic is worse"


def test_least_squares_are_polynomials_of_the_logits() -> None:
    critic, generator = loss_pair("least_squares")
    # Targets 1 of images, 0 of fakes, 1 of the generator's.
    assert critic(REAL, FAKE).item() == pytest.approx((0.49 + 4.84 + 2.25) / 6 + (4 + 0.16 + 0.81) / 6, abs=1e-12)
    assert generator(FAKE).item() == pytest.approx((1 + 1.96 + 0.01) / 6, abs=1e-12)
    check_gradients("least_squares", REAL - 1, FAKE, FAKE - 1)


def test_least_squares_with_the_targets_of_pearson() -> None:
    targets = {"real_target": 1.0, "fake_target": -1.0, "generator_target": 0.0}
    critic, generator = loss_pair("least_squares", **targets)
    assert critic(REAL, FAKE).item() == pytest.approx((0.49 + 4.84 + 2.25) / 6 + (9 + 0.36 + 3.61) / 6, abs=1e-12)
    assert generator(FAKE).item() == pytest.approx((4 + 0.16 + 0.81) / 6, abs=1e-12)
    check_gradients("least_squares", REAL - 1, FAKE + 1, FAKE, **targets)
    # At the best critic (p - q) / (p + q) of two values, what the generator minimises beside E_real D^2 / 2, which it cannot
    # change at a given critic, adds up to Pearson's divergence of p + q from 2 q, halved.
    p, q = torch.tensor([0.8, 0.2], dtype=torch.float64), torch.tensor([0.3, 0.7], dtype=torch.float64)
    best = (p - q) / (p + q)
    value = sum((p[i] + q[i]) * generator(best[i : i + 1]) for i in (0, 1))
    assert float(value) == pytest.approx(float(((p + q - 2 * q).square() / (p + q)).sum() / 2), abs=1e-12)


def test_wasserstein_is_the_distance_of_two_point_masses() -> None:
    """Mass at x = 0 and at x = r: a critic of slope 1 from the fake to the real one says r."""
    critic, generator = loss_pair("wasserstein")
    for r in (0.5, 3.0):
        real, fake = torch.full((4,), r), torch.zeros(4)  # D(x) = x
        assert critic(real, fake).item() == -r
        assert generator(fake).item() == 0
    ones = torch.ones_like(REAL)
    check_gradients("wasserstein", -ones, ones, -ones)


def test_hinge_is_flat_beyond_its_margins() -> None:
    critic, generator = loss_pair("hinge")
    assert critic(torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])).item() == pytest.approx(0.25 + 1.0)
    assert generator(torch.tensor([-3.0, 1.0])).item() == pytest.approx(1.0)
    real, fake = torch.ones(2, requires_grad=True), -torch.ones(2).requires_grad_()
    value = critic(real, fake)
    assert value.item() == 0
    assert all(not gradient.any() for gradient in torch.autograd.grad(value, (real, fake)))
    inside = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)  # of REAL below 1, of FAKE above -1
    check_gradients("hinge", -inside, torch.ones_like(inside), -torch.ones_like(inside))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("hinges", {}, "unknown loss 'hinges': choose one of hinge, least_squares, logistic, minimax, wasserstein"),
        ("hinge", {"margin": 1.0}, "loss 'hinge' has no setting 'margin': it takes none"),
        ("least_squares", {"a": 1.0}, "it takes real_target, fake_target, generator_target"),
        ("least_squares", {"real_target": math.nan}, "real_target of loss 'least_squares' must be a finite number"),
        ("least_squares", {"real_target": "one"}, "must be a finite number, got 'one'"),
    ],
)
def test_an_unknown_loss_or_setting_is_refused(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_pair(name, **settings)
