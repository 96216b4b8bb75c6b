"""Renderers of fibres behind one interface: a tube, a material and a light become colours, coverage and a shadow.

``numpy`` is there always. ``mitsuba`` and ``povray`` are asked for by name; where one is missing that is said, and no other
takes its place.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from generative.rendering.defects.curves import Curve
from generative.rendering.defects.draws import varied
from generative.rendering.defects.materials import Material

MODULES = {
    "numpy": "generative.rendering.defects.swept_spheres",
    "mitsuba": "generative.rendering.defects.mitsuba_tubes",
    "povray": "generative.rendering.defects.povray_tubes",
}
DEFAULT = "numpy"


@dataclass(frozen=True)
class Light:
    """A distant light: the unit vector towards it (x to the right, y down, z to the viewer), and how dark shadows are, 0 to 1."""

    direction: tuple[float, float, float] = (-0.48, -0.36, 0.8)
    shadow: float = 0.5


@dataclass(frozen=True)
class Tube:
    """Centres [N, 3] (x, y in pixels, z above the ground) close together along a fibre, and its radius there [N]."""

    centres: np.ndarray
    radii: np.ndarray


@dataclass(frozen=True)
class Rendering:
    """``colour`` [H, W, C] from 0 to 1, ``coverage`` [H, W] from 0 to 1 and the ``shadow`` on the ground [H, W], 0 to 1."""

    colour: np.ndarray
    coverage: np.ndarray
    shadow: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Where at least half of a pixel is covered: bool [H, W]."""
        return self.coverage >= 0.5


class Renderer(Protocol):
    """A backend's ``render``."""

    def __call__(self, tube: Tube, material: Material, light: Light, shape: tuple[int, int]) -> Rendering: ...


def renderer(name: str) -> Renderer:
    """The backend ``name``; ValueError where there is none of that name."""
    if name not in MODULES:
        raise ValueError(f"there is no renderer {name!r}: choose one of {', '.join(MODULES)}")
    found: Renderer = importlib.import_module(MODULES[name]).render
    return found


def lifted(curve: Curve, random: np.random.Generator, *, rise: float = 2.0) -> Tube:
    """A flat curve as a tube that lies on the ground and rises from it in waves of up to about ``rise`` radii."""
    points, widths = curve.dense()
    radii = widths / 2
    along = np.linspace(0, 1, len(points))
    waves = [random.standard_normal() * np.sin(np.pi * (k * along + random.random())) / k for k in (1, 2, 3)]
    height = np.abs(np.sum(waves, axis=0)) * varied(rise, random) * radii.mean() / 2
    return Tube(np.column_stack([points, radii + height]), radii)
