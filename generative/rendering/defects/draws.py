"""Generators of NumPy whose numbers are functions of (seed, what for, number): nothing is used up from draw to draw."""

from __future__ import annotations

import numpy as np

from generative.randomness import Stream

RELATIVE_NOISE = 0.25  # standard deviation of the logarithm of a size that is drawn anew


def generator(seed: int, name: str, number: int, attempt: int = 0) -> np.random.Generator:
    """The generator of try ``attempt`` of thing ``number`` among those that are called ``name``."""
    key = Stream(seed, name).key
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, attempt, number]))


def varied(value: float, random: np.random.Generator, *, noise: float = RELATIVE_NOISE) -> float:
    """``value`` times a lognormal factor whose logarithm has the standard deviation ``noise``."""
    return float(value * np.exp(noise * random.standard_normal()))
