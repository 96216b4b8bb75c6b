"""Fibres by Mitsuba 3: B-spline curves with a radius at each control point, real reflectances and shadows.

Three pictures are made: the fibre alone, whose alpha is the coverage; the ground with the fibre on it, and without it, whose
ratio is the shadow. The box filter makes two renderings equal in all bits.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy import ndimage

from generative.rendering.defects.backends import Light, Rendering, Tube
from generative.rendering.defects.libraries import needed
from generative.rendering.defects.materials import Material

VARIANT = "scalar_rgb"  # needs no compiler
SAMPLES = 36  # of a pixel, a square
NUM_CONTROL = (
    120  # so many that the curve, which goes near its control points and not through them, is off by less than 0.01 px
)
FAR = 500.0
NOISE_BLUR = 0.7  # pixels: of the shadow, which is the ratio of two pictures with noise
AMBIENT = 0.6  # of the light that comes from everywhere


def render(tube: Tube, material: Material, light: Light, shape: tuple[int, int]) -> Rendering:
    """See :class:`generative.rendering.defects.backends.Renderer`."""
    mitsuba = needed("mitsuba", "the renderer mitsuba", remedy='pip install -e ".[render]", or take --renderer numpy')
    mitsuba.set_variant(VARIANT)
    with tempfile.TemporaryDirectory() as folder:
        fibre = fibre_of(tube, material, Path(folder) / "fibre.txt")
        alone = picture(mitsuba, {"fibre": fibre}, light, shape)
        ground = {"type": "rectangle", "to_world": ground_of(mitsuba, shape), "bsdf": diffuse((0.5,) * 3)}
        shaded = picture(mitsuba, {"fibre": fibre, "ground": ground}, light, shape)[..., :3].mean(axis=2)
        plain = picture(mitsuba, {"ground": ground}, light, shape)[..., :3].mean(axis=2)
    coverage = alone[..., 3].clip(0, 1)
    colour = (alone[..., :3] / np.maximum(coverage, 1e-6)[..., None]).clip(0, 1)
    if len(material.colour) == 1:
        colour = colour.mean(axis=2, keepdims=True)
    direct = (1 - shaded / np.maximum(plain, 1e-6)).clip(0, 1)
    # Where the fibre is seen the ground is not: the shadow there is that of the nearest pixel of the ground.
    nearest = ndimage.distance_transform_edt(coverage > 0, return_distances=False, return_indices=True)
    shadow = ndimage.gaussian_filter(direct[tuple(nearest)], NOISE_BLUR) * min(1.0, 2 * light.shadow)
    return Rendering(colour, coverage, shadow.astype(np.float32))


def fibre_of(tube: Tube, material: Material, file: Path) -> dict[str, Any]:
    """The shape and what it is made of. Mitsuba reads control points from a file: x, y, z and radius a line."""
    chosen = np.linspace(0, len(tube.radii) - 1, min(NUM_CONTROL, len(tube.radii))).round().astype(int)
    rows = np.column_stack([tube.centres[chosen], tube.radii[chosen]]) * np.array([1.0, -1.0, 1.0, 1.0])
    # A B-spline starts a third of the way between its first points: reflected ones make it start at the first.
    padded = np.vstack([2 * rows[0] - rows[1], rows, 2 * rows[-1] - rows[-2]])
    padded[[0, -1], 3] = rows[[0, -1], 3]
    lines = [padded, *caps(rows)]
    text = "\n\n".join("\n".join(" ".join(f"{value:.6f}" for value in row) for row in line) for line in lines)
    file.write_text(text)
    return {"type": "bsplinecurve", "filename": str(file), "bsdf": bsdf_of(material)}


def caps(rows: np.ndarray) -> list[np.ndarray]:
    """Round ends, which the shape does not have: short curves whose radius falls as a sphere's does."""
    found = []
    for end, inner in ((rows[0], rows[1]), (rows[-1], rows[-2])):
        outwards = end[:3] - inner[:3]
        outwards = outwards / (np.linalg.norm(outwards) + 1e-9)
        angles = np.linspace(-0.2, np.pi / 2, 9)
        centres = end[:3] + end[3] * np.sin(angles)[:, None] * outwards
        found.append(np.column_stack([centres, end[3] * np.cos(angles).clip(0.05)]))
    return found


def bsdf_of(material: Material) -> dict[str, Any]:
    colour = tuple(material.colour) if len(material.colour) == 3 else material.colour * 3
    if material.specular >= 0.6:
        return {"type": "roughconductor", "alpha": 0.25, "specular_reflectance": rgb(colour)}
    if material.specular >= 0.1:
        return {"type": "roughplastic", "alpha": 0.2, "diffuse_reflectance": rgb(colour)}
    return {"type": "twosided", "bsdf": diffuse(colour)}


def diffuse(colour: tuple[float, ...]) -> dict[str, Any]:
    return {"type": "diffuse", "reflectance": rgb(colour)}


def rgb(colour: tuple[float, ...]) -> dict[str, Any]:
    return {"type": "rgb", "value": [float(part) for part in colour]}


def ground_of(mitsuba: ModuleType, shape: tuple[int, int]) -> Any:
    """A large rectangle at z = 0."""
    transform = mitsuba.ScalarTransform4f
    return transform().translate([shape[1] / 2, -shape[0] / 2, 0]).scale([4 * shape[1], 4 * shape[0], 1])


def picture(mitsuba: ModuleType, shapes: dict[str, Any], light: Light, shape: tuple[int, int]) -> np.ndarray:
    """[H, W, 4] in linear light: colour and alpha, seen straight from above, a unit of length a pixel."""
    height, width = shape
    transform = mitsuba.ScalarTransform4f
    middle = [(width - 1) / 2, -(height - 1) / 2]  # x to the right, y up: rows of an image are -y
    camera = (
        transform().look_at(origin=[*middle, FAR], target=[*middle, 0], up=[0, 1, 0]).scale([width / 2, width / 2, 1])
    )
    towards = np.asarray(light.direction, dtype=float)
    scene = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 4, "hide_emitters": True},
        "sensor": {
            "type": "orthographic", "to_world": camera, "near_clip": 1.0, "far_clip": 2 * FAR,
            "film": {
                "type": "hdrfilm", "width": width, "height": height, "pixel_format": "rgba",
                "component_format": "float32", "rfilter": {"type": "box"},
            },
            "sampler": {"type": "multijitter", "sample_count": SAMPLES, "seed": 0},
        },
        "sun": {
            "type": "directional", "direction": [-towards[0], towards[1], -towards[2]],
            "irradiance": rgb((np.pi * (1 - AMBIENT) / towards[2],) * 3),
        },
        "sky": {"type": "constant", "radiance": rgb((AMBIENT,) * 3)},
        **shapes,
    }  # fmt: skip
    return np.array(mitsuba.render(mitsuba.load_dict(scene), seed=0), dtype=np.float32)
