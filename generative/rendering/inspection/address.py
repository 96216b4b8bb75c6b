"""Where the random numbers of an image come from: a function of the seed, the image and the layer that is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generative.randomness import Stream
from generative.rendering.inspection.classes import PRODUCTS


@dataclass(frozen=True)
class Address:
    """Image ``number`` of a ``kind`` (a class of defects, or ``clean``) in a ``split`` of the world of ``seed``.

    ``products``: how many different ones the images show; the numbers of a layer do not depend on it.
    """

    seed: int
    split: str
    kind: str
    number: int
    products: int = PRODUCTS

    def generator(self, layer: str) -> np.random.Generator:
        """The numbers of one layer: no other layer and no other image draws from them."""
        key = Stream(self.seed, f"inspection {self.split} {self.kind}: {layer}").key
        return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, self.number]))


def periodic_noise(random: np.random.Generator, *, orders: int, roughness: float = 1.0) -> np.ndarray:
    """Coefficients [orders, 2] of a smooth periodic function with a standard deviation of about 1: :func:`periodic_values`.

    The power of order k falls as k^(-2 roughness).
    """
    falling = np.arange(1, orders + 1) ** -roughness
    return random.normal(size=(orders, 2)) * (falling / np.sqrt(np.sum(falling**2)))[:, None]


def periodic_values(coefficients: np.ndarray, places: np.ndarray) -> np.ndarray:
    """sum_k a_k cos(2 pi k s) + b_k sin(2 pi k s) at ``places`` s of any shape, whose period is 1: float32."""
    table = np.arange(TABLE + 1) / TABLE * 2 * np.pi
    orders = np.arange(1, len(coefficients) + 1)[:, None]
    values = (coefficients[:, :1] * np.cos(orders * table) + coefficients[:, 1:] * np.sin(orders * table)).sum(axis=0)
    return np.interp(np.mod(places, 1.0) * TABLE, np.arange(TABLE + 1), values).astype(np.float32)


TABLE = 2048  # places at which a periodic function is computed, linear in between
