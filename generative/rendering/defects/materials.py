"""What rendered fibres are made of: presets of reflectance, and the one that is nearest to the pixels of a real defect."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Material:
    """Reflectance by Lambert and Phong: ambient + diffuse max(0, n.l) + specular max(0, r.v)^shininess.

    ``colour``: grey, or red, green and blue, from 0 to 1. ``translucency``: the share of the background that shines through.
    """

    name: str
    colour: tuple[float, ...]
    ambient: float
    diffuse: float
    specular: float
    shininess: float
    translucency: float

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "colour": [round(part, 3) for part in self.colour]}

    @property
    def gloss(self) -> float:
        """How much brighter than its middle it becomes, as :func:`nearest` measures it."""
        return self.specular


PRESETS = (
    Material("dull", (0.5,), 0.55, 0.45, 0.0, 1.0, 0.0),
    Material("hair", (0.2,), 0.5, 0.4, 0.15, 20.0, 0.1),
    Material("plastic", (0.6,), 0.4, 0.5, 0.35, 30.0, 0.0),
    Material("metal", (0.7,), 0.25, 0.45, 0.8, 60.0, 0.0),
    Material("nylon", (0.8,), 0.5, 0.4, 0.3, 40.0, 0.45),
    Material("film", (0.7,), 0.7, 0.3, 0.05, 10.0, 0.7),
)
HIGH, LOW = 97.0, 3.0  # percentiles of brightness that a material's spread is taken between


def nearest(pixels: np.ndarray, background: np.ndarray) -> Material:
    """The preset nearest to real pixels [N, C] by gloss and translucency, in their colour; levels from 0 to 255.

    ``background`` [N, C] is what was there without the defect. Gloss: how far the brightest pixels lie above the median,
    over the room to white. Translucency: how much of the background's contrast is still seen, by least squares.
    """
    if not len(pixels):
        raise ValueError("a material is matched to at least one pixel of a defect, and there is none")
    values, behind = pixels / 255.0, background / 255.0
    grey, grey_behind = values.mean(axis=1), behind.mean(axis=1)
    middle = float(np.median(grey))
    gloss = max(0.0, float(np.percentile(grey, HIGH)) - middle) / max(1.0 - middle, 0.05)
    spread = float(grey_behind.var())
    slope = float(((grey - grey.mean()) * (grey_behind - grey_behind.mean())).mean()) / spread if spread > 1e-4 else 0.0
    through = float(np.clip(slope, 0.0, 0.9))
    best = min(PRESETS, key=lambda preset: (preset.gloss - gloss) ** 2 + (preset.translucency - through) ** 2)
    own = np.median(values - through * behind, axis=0) / (1 - through)
    # A surface that faces the light shows ambient + diffuse of its colour.
    own = np.clip(own / (best.ambient + 0.75 * best.diffuse), 0.0, 1.0)
    return replace(best, colour=tuple(float(part) for part in own), translucency=round(through, 3))


def from_data(data: dict[str, Any]) -> Material:
    """The way back from :meth:`Material.as_data`."""
    return Material(**{**data, "colour": tuple(data["colour"])})
