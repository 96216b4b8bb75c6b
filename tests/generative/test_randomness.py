"""Numbers by global image number: the same for any split of the work, and distributed as they should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from generative.randomness import Stream, permutation


def test_any_cut_of_the_range_gives_the_same_numbers() -> None:
    stream = Stream(7, "latents")
    for draw in (stream.normal, stream.uniform):
        whole = draw(1000, 12, 3, 5)
        assert whole.shape == (12, 3, 5)
        assert torch.equal(whole, torch.cat([draw(1000, 5, 3, 5), draw(1005, 7, 3, 5)]))
    assert torch.equal(stream.integers(10, 6, high=9)[2:], stream.integers(12, 4, high=9))


def test_seed_name_and_number_all_matter() -> None:
    base = Stream(0, "latents").normal(0, 4, 8)
    assert torch.equal(base, Stream(0, "latents").normal(0, 4, 8))
    for other in (Stream(1, "latents").normal(0, 4, 8), Stream(0, "augment").normal(0, 4, 8)):
        assert not torch.allclose(base, other)
    assert len(Stream(0, "latents").normal(0, 5000, 1).unique()) == 5000
    # Numbers far into a long run, beyond 32 bits of counters.
    assert not torch.equal(Stream(0, "a").normal(2**40, 2, 4), Stream(0, "a").normal(2**40 + 1, 2, 4))


def test_distributions() -> None:
    normal = Stream(3, "n").normal(0, 2000, 65).numpy()  # an odd size: half of the last pair is dropped
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(normal.T) - np.eye(65)).max() < 0.12
    uniform = Stream(3, "u").uniform(0, 50_000, 1).numpy().ravel()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert uniform.min() >= 0
    assert uniform.max() < 1
    counts = torch.bincount(Stream(3, "i").integers(0, 50_000, high=10), minlength=10).numpy()
    assert stats.chisquare(counts).pvalue > 1e-3


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is the point
    Stream(0, "x").normal(0, 10, 10)
    permutation(0, 0, 100)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_permutation() -> None:
    order = permutation(5, 2, 100)
    assert sorted(order) == list(range(100))
    assert (order == permutation(5, 2, 100)).all()
    assert (order != permutation(5, 3, 100)).any()
    assert (order != permutation(6, 2, 100)).any()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        Stream(-1, "x")
    with pytest.raises(ValueError, match="high must be at least 1"):
        Stream(0, "x").integers(0, 1, high=0)
