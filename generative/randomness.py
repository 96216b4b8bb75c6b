"""Random numbers as functions of (seed, stream, global image number).

Training draws a latent, a label or an augmentation for image number k of the whole run, whichever rank
holds that image and however often the run was interrupted. So N ranks together draw what one rank draws,
each rank draws different ones, and a checkpoint has no generator state to keep.

The bits come from Philox, a counter-based generator: image k owns a block of counters of its own, so any
range of images is reached at once.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor

DRAWS_PER_COUNTER = 4  # Philox-4x64 yields four 64-bit words a counter


class Stream:
    """One named sequence of random numbers, addressed by global image number.

    ``seed`` is any integer from 0; ``name`` says what the numbers are for (``"latents"``, ``"augment"``):
    streams of different names are independent.
    """

    def __init__(self, seed: int, name: str) -> None:
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        self.seed, self.name = seed, name
        digest = hashlib.sha256(name.encode()).digest()
        self.key = np.array([seed, int.from_bytes(digest[:8], "little")], dtype=np.uint64)

    def branch(self, name: str) -> Stream:
        """Another stream of the same seed, for what is drawn beside this one's numbers for the same images."""
        return Stream(self.seed, f"{self.name}/{name}")

    def bits(self, first: int, count: int, words: int) -> np.ndarray:
        """``words`` 64-bit words for each of the images ``first .. first + count - 1``: uint64 [count, words]."""
        counters = math.ceil(words / DRAWS_PER_COUNTER)
        start = first * counters
        counter = np.array([start & (2**64 - 1), start >> 64, 0, 0], dtype=np.uint64)
        raw = np.random.Philox(key=self.key, counter=counter).random_raw(count * counters * DRAWS_PER_COUNTER)
        return raw.reshape(count, counters * DRAWS_PER_COUNTER)[:, :words]

    def uniform(self, first: int, count: int, *shape: int) -> Tensor:
        """Uniform on [0, 1): float32 [count, *shape], 24 random bits each."""
        bits = self.bits(first, count, math.prod(shape))
        return torch.from_numpy(((bits >> np.uint64(40)) * 2.0**-24).astype(np.float32)).view(count, *shape)

    def open_uniform(self, first: int, count: int, *shape: int) -> Tensor:
        """Uniform on (0, 1), neither end ever: float64 [count, *shape], 52 random bits each.

        What a quantile function with infinite ends is to be given.
        """
        bits = self.bits(first, count, math.prod(shape))
        return torch.from_numpy(((bits >> np.uint64(12)) + 0.5) * 2.0**-52).view(count, *shape)

    def integers(self, first: int, count: int, *, high: int) -> Tensor:
        """Uniform on 0 .. high - 1: int64 [count] (bias below high / 2^64)."""
        if high < 1:
            raise ValueError(f"high must be at least 1, got {high}")
        return torch.from_numpy((self.bits(first, count, 1)[:, 0] % np.uint64(high)).astype(np.int64))

    def normal(self, first: int, count: int, *shape: int) -> Tensor:
        """Standard normal by Box and Muller (two values a word): float32 [count, *shape]."""
        size = math.prod(shape)
        bits = self.bits(first, count, math.ceil(size / 2))
        # The high half is shifted into (0, 1] so that its logarithm is finite.
        radius = np.sqrt(-2.0 * np.log(((bits >> np.uint64(32)) + np.uint64(1)) * 2.0**-32))
        angle = (bits & np.uint64(0xFFFFFFFF)) * (2.0**-32 * 2.0 * math.pi)
        pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :size]
        return torch.from_numpy(pairs.astype(np.float32)).view(count, *shape)


def permutation(seed: int, epoch: int, size: int, *, name: str = "order") -> np.ndarray:
    """The order of a data set of ``size`` images in ``epoch``: a permutation of 0 .. size - 1, another for each ``name``."""
    key = Stream(seed, name).key
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, epoch])).permutation(size)
