"""What holds of every sampler: a row is a function of its number, its class and the stream; names; moments of the laws."""

from __future__ import annotations

import pytest
import torch

from generative.latents.bank import Bank
from generative.latents.combinations import Combination
from generative.latents.flow import Flow
from generative.latents.names import EXAMPLES, make_sampler, named
from generative.latents.samplers import Sampler
from generative.randomness import Stream
from tests.generative.latents.clouds import cloud, moment_scores

STREAM = Stream(1, "tests")


def made(name: str, bank: Bank) -> Sampler:
    """The sampler of a name; the flow after few steps."""
    return Flow(bank, steps=5, width=8) if name == "flow" else make_sampler(name, bank)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_batch_is_its_rows_one_by_one_and_in_any_order(name: str) -> None:
    bank = cloud(40, 9, 17, dim=13)
    sampler = made(name, bank)
    numbers, labels = [5, 0, 3, 4, 1_000_000_007, 3], torch.tensor([0, 1, 2, 0, 2, 0])
    drawn = sampler.draw(numbers, labels, STREAM)
    assert drawn.latents.shape == (6, 13)
    assert drawn.latents.dtype == drawn.weights.dtype == torch.float64
    assert drawn.sources.shape == drawn.weights.shape
    for place in (4, 2, 0, 1, 5, 3):
        alone = made(name, bank).draw([numbers[place]], labels[place : place + 1], STREAM)
        for one, many in zip(vars(alone).values(), vars(drawn).values(), strict=True):
            assert torch.equal(one[0], many[place])
    if name != "class_mean":
        assert not torch.equal(sampler.draw(numbers, labels, Stream(2, "tests")).latents, drawn.latents)
        assert len(drawn.latents[labels == 0].unique(dim=0)) == 3
    in_range = sampler.draw(range(3, 6), torch.tensor([2, 0, 0]), STREAM)
    assert torch.equal(in_range.latents, drawn.latents[[2, 3, 0]])


@pytest.mark.parametrize("name", EXAMPLES)
def test_sources_are_members_of_the_class_that_is_asked_for(name: str) -> None:
    bank = cloud(12, 8, dim=3)
    labels = torch.arange(30) % 2
    drawn = made(name, bank).draw(range(30), labels, STREAM)
    assert torch.equal(bank.labels[drawn.sources], labels[:, None].expand_as(drawn.sources))
    assert all(len(row.unique()) == len(row) for row in drawn.sources)
    if name in ("gaussian", "class_mean", "flow") or name.startswith("mixture"):
        assert drawn.sources.shape == (30, 0)
    elif name.startswith("kernel"):
        assert torch.equal(drawn.weights, torch.full((30, 1), 0.75**0.5, dtype=torch.float64))
    else:
        torch.testing.assert_close(drawn.weights.sum(dim=1), torch.ones(30, dtype=torch.float64), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["gaussian", "kernel_0.5", "mixture_2", "variance_2", "variance_5", "training"])
@pytest.mark.parametrize("dim", [3, 30], ids=["more members than dimensions", "fewer"])
def test_draws_have_the_mean_and_the_covariance_of_the_class(name: str, dim: int) -> None:
    bank = cloud(25, dim=dim)
    sampler = make_sampler(name, bank)
    drawn = sampler.draw(range(1000), torch.zeros(1000, dtype=torch.int64), STREAM).latents
    axes = torch.linalg.qr(torch.randn(dim, 3, generator=torch.Generator().manual_seed(2))).Q.double()
    sigma = axes.T @ bank.covariance(0) @ axes
    # 12 figures beyond 4.5 standard errors: once in ten thousand such tests, and these draws are always the same ones.
    assert float(moment_scores(drawn @ axes, bank.mean(0) @ axes, sigma).abs().max()) < 4.5
    shrunk = bank.mean(0) + 0.8 * (drawn - bank.mean(0))
    assert float(moment_scores(shrunk @ axes, bank.mean(0) @ axes, sigma).abs().max()) > 4.5


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "class_mean"])
def test_classes_are_drawn_by_words_of_their_own(name: str) -> None:
    one = cloud(8, dim=4)
    bank = Bank(one.latents.repeat(2, 1), torch.arange(16) // 8)
    first, second = (made(name, bank).draw(range(6), torch.full((6,), label), STREAM) for label in (0, 1))
    assert not torch.equal(first.latents, second.latents)


def test_a_name_says_the_settings() -> None:
    for name, words in {
        "training": {"n": 1},
        "convex_12": {"n": 12},
        "variance_2": {"n": 2, "spread": "variance"},
        "dirichlet_3": {"n": 3, "theta": "dirichlet"},
        "mixture_4": {"components": 4},
        "kernel_0.25": {"width": 0.25},
        "smote": {},
        "flow": {},
    }.items():
        assert named(name).arguments == words
    assert isinstance(make_sampler("training", cloud(3, dim=2)), Combination)
    assert isinstance(make_sampler("flow", cloud(3, dim=2)), Flow)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("convex", "convex_2"),
        ("convex_0", "convex_2"),
        ("convex_02", "convex_2"),
        ("variance_2.5", "variance_2"),
        ("guassian", "gaussian"),
        ("kernel_0.50", "kernel_0.5"),
        ("kernel_1.5", "kernel_0.5"),
        ("gaussian_2", "gaussian"),
        ("zzz", "training"),
    ],
)
def test_another_name_is_refused_with_what_is_near(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"no sampler of latents '{name}': choose one like .*{near}"):
        named(name)


def test_what_cannot_be_drawn_is_refused() -> None:
    bank = cloud(4, 1, dim=2)
    labels = torch.tensor([0])
    with pytest.raises(ValueError, match=r"at least one number, with a label each: got 0 and \(0,\)"):
        make_sampler("training", bank).draw([], labels[:0], STREAM)
    with pytest.raises(ValueError, match=r"with a label each: got 2 and \(1,\)"):
        make_sampler("training", bank).draw([0, 1], labels, STREAM)
    with pytest.raises(ValueError, match="numbers of latents begin at 0, got -1"):
        make_sampler("training", bank).draw([-1], labels, STREAM)
    with pytest.raises(ValueError, match="class 2 has no members in the bank: choose one of 0, 1"):
        make_sampler("gaussian", bank).draw([0], labels + 2, STREAM)
    for name, least in (("convex_5", 5), ("smote", 6), ("mixture_5", 5)):
        with pytest.raises(ValueError, match=f"class 0 has 4 members in the bank, and this takes n = {least} distinct"):
            make_sampler(name, bank).draw([0], labels, STREAM)
    for name in ("gaussian", "kernel_0.5", "mixture_1"):
        with pytest.raises(ValueError, match="class 1 has 1 members in the bank, and this takes n = 2 distinct"):
            make_sampler(name, bank).draw([0], labels + 1, STREAM)
    same = Bank(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="members of class 0 are all the same"):
        make_sampler("mixture_1", same).draw([0], labels, STREAM)
