"""Lemma 1 for K classes: a combination is at least as sure as its sources' own combination, under any affine head."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch import Tensor

from generative.latents.confidence import (
    log_odds,
    log_odds_of_mean,
    log_probability,
    log_probability_bound,
    margin,
    margin_bound,
)

COUNT, SOURCES, CLASSES, DIM = 10_000, 3, 7, 12


@pytest.fixture(scope="module")
def combinations() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A head's weights and offsets, and 10,000 combinations: sources [B, n, D] of one class each, right ones, labels, theta."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(CLASSES, DIM, generator=generator).double()
    offsets = torch.randn(CLASSES, generator=generator).double()
    latents = 2 * torch.randn(4000, DIM, generator=generator).double()
    predicted = (latents @ weights.T + offsets).argmax(dim=1)
    by_class = [latents[predicted == label] for label in range(CLASSES)]
    labels = torch.randint(CLASSES, (COUNT,), generator=generator)
    levels = torch.rand(COUNT, SOURCES, generator=generator)
    sources = torch.stack(
        [by_class[c][(u * len(by_class[c])).long()] for c, u in zip(labels.tolist(), levels, strict=True)]
    )
    theta = -torch.rand(COUNT, SOURCES, generator=generator).double().log()
    return weights, offsets, sources, labels, theta / theta.sum(dim=1, keepdim=True)


def test_lemma_1_and_both_bounds(combinations: tuple[Tensor, ...]) -> None:
    weights, offsets, sources, labels, theta = combinations
    scores = sources @ weights.T + offsets
    combined = (theta[:, :, None] * sources).sum(dim=1) @ weights.T + offsets
    assert (margin(scores.flatten(0, 1), labels.repeat_interleave(SOURCES)) > 0).all()
    assert torch.equal(combined.argmax(dim=1), labels)
    for measure, bound in ((margin, margin_bound), (log_probability, log_probability_bound)):
        slack = measure(combined, labels) - bound(scores, labels, theta)
        assert float(slack.min()) > -1e-10
        assert float(slack.median()) > 0.01  # and it is more than the bound: the sources differ
        alone = torch.eye(SOURCES).double()[0].expand_as(theta)  # of one source it is the source's own
        torch.testing.assert_close(bound(scores, labels, alone), measure(scores[:, 0], labels), rtol=0, atol=1e-12)
        # A head that is not affine has no such bound, so this test can fail.
        bent = measure(combined.square(), labels) - bound(scores.square(), labels, theta)
        assert float(bent.min()) < -1.0


def test_a_wrong_source_is_found_and_can_carry_the_combination_away(combinations: tuple[Tensor, ...]) -> None:
    weights, offsets, sources, labels, _ = (tensor[:200] for tensor in combinations)
    planted = sources.clone()
    place = int((labels != labels[0]).nonzero()[0])
    planted[0, 1] = sources[place, 0]
    scores = planted @ weights.T + offsets
    wrong = margin(scores.flatten(0, 1), labels.repeat_interleave(SOURCES)).view(200, SOURCES) <= 0
    assert wrong.nonzero().tolist() == [[0, 1]]
    theta = torch.tensor([[0.02, 0.96, 0.02]]).double()
    carried = (theta[:, :, None] * planted[:1]).sum(dim=1) @ weights.T + offsets
    assert carried.argmax(dim=1) == labels[place]
    assert margin_bound(scores[:1], labels[:1], theta) <= margin(carried, labels[:1])


def test_measures_by_hand() -> None:
    scores, labels = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]]), torch.tensor([0, 2])
    torch.testing.assert_close(margin(scores, labels), torch.tensor([1.5, -2.0]).double())
    expected = scores.double().softmax(dim=1)[[0, 1], labels]
    torch.testing.assert_close(log_probability(scores, labels).exp(), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_odds(scores, labels), expected.logit(), rtol=0, atol=1e-12)
    assert log_odds(scores, labels).dtype == torch.float64


def test_log_odds_tell_apart_what_probabilities_do_not() -> None:
    scores = torch.tensor([[60.0, 0.0, 1.0], [61.0, 0.0, 1.0], [900.0, 0.0, 1.0]])
    labels = torch.zeros(3, dtype=torch.int64)
    odds = log_odds(scores, labels)
    assert (log_probability(scores, labels).exp() == 1.0).all()
    torch.testing.assert_close(odds, scores[:, 0].double() - math.log(1 + math.e), rtol=0, atol=1e-9)


def test_the_threshold_of_sure_images_is_not_rounded_to_1() -> None:
    with mpmath.workdps(60):
        for odds in ([0.3, -2.0, 5.0], [60.0, 80.0, 61.0], [40.0], [-50.0, -60.0]):
            probabilities = [1 / (1 + mpmath.exp(-value)) for value in odds]
            mean = sum(probabilities) / len(odds)
            found = log_odds_of_mean(torch.tensor(odds))
            assert float(found) == pytest.approx(float(mpmath.log(mean / (1 - mean))), abs=1e-6)  # of float32 odds


def test_other_shapes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"scores \[B, K\] of at least 2 classes, and labels \[B\], got \(3, 1\) and \(3,\)"
    ):
        margin(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"got \(3, 4\) and \(2,\)"):
        log_odds(torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="labels are from 0 to 3 here, got 0 to 4"):
        log_probability(torch.zeros(2, 4), torch.tensor([0, 4]))
