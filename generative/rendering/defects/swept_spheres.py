"""The renderer without dependencies: spheres along the centre line in a depth buffer, shaded by Lambert and Phong.

Each pixel is the mean of ``SAMPLES`` x ``SAMPLES`` points. The shadow is that of the same spheres, along the light, on the
ground.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from generative.rendering.defects.backends import Light, Rendering, Tube
from generative.rendering.defects.materials import Material

SAMPLES = 3
SOFTNESS = 0.35  # pixels of blur of a shadow for each pixel of height
MOST_SPHERES = 600


def render(tube: Tube, material: Material, light: Light, shape: tuple[int, int]) -> Rendering:
    """See :class:`generative.rendering.defects.backends.Renderer`."""
    step = max(1, len(tube.radii) // MOST_SPHERES)
    centres, radii = tube.centres[::step], tube.radii[::step]
    normals, covered = depth_buffer(centres, radii, shape)
    colour = shaded(normals, material, light)
    coverage = pooled(covered.astype(np.float32))
    total = pooled(colour * covered[..., None])
    own = total / np.maximum(coverage, 1e-6)[..., None]
    return Rendering(own, coverage, cast_shadow(centres, radii, light, shape))


def depth_buffer(centres: np.ndarray, radii: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Of each sample the normal [h, w, 3] of the sphere seen there, float32, and whether there is one [h, w]."""
    height, width = (SAMPLES * side for side in shape)
    depth = np.full((height, width), -np.inf, dtype=np.float32)
    normals = np.zeros((height, width, 3), dtype=np.float32)
    for (x, y, z), radius in zip(centres * SAMPLES, radii * SAMPLES, strict=True):
        # Pixel k has its samples at (k - 1/2) SAMPLES + 1/2 + i, in samples from the first pixel's centre.
        cx, cy = x + (SAMPLES - 1) / 2, y + (SAMPLES - 1) / 2
        left, right = max(0, int(np.ceil(cx - radius))), min(width, int(cx + radius) + 1)
        top, bottom = max(0, int(np.ceil(cy - radius))), min(height, int(cy + radius) + 1)
        if left >= right or top >= bottom:
            continue
        dx = (np.arange(left, right, dtype=np.float32) - cx)[None, :]
        dy = (np.arange(top, bottom, dtype=np.float32) - cy)[:, None]
        rest = radius**2 - dx**2 - dy**2
        up = np.sqrt(np.maximum(rest, 0))
        seen = depth[top:bottom, left:right]
        nearer = (rest >= 0) & (z + up > seen)
        seen[nearer] = (z + up)[nearer]
        part = normals[top:bottom, left:right]
        part[nearer] = (np.stack(np.broadcast_arrays(dx, dy, up), axis=-1) / radius)[nearer]
    return normals, depth > -np.inf


def shaded(normals: np.ndarray, material: Material, light: Light) -> np.ndarray:
    """Lambert and Phong for a viewer straight above: [h, w, C], from 0 to 1."""
    towards = np.asarray(light.direction, dtype=np.float32)
    towards = towards / np.linalg.norm(towards)
    facing = (normals @ towards).clip(0)
    mirrored = 2 * (normals @ towards)[..., None] * normals - towards
    highlight = material.specular * np.where(facing > 0, mirrored[..., 2].clip(0), 0) ** material.shininess
    colour = np.asarray(material.colour, dtype=np.float32)
    body = (material.ambient + material.diffuse * facing)[..., None] * colour
    return np.clip(body + highlight[..., None], 0, 1)


def pooled(values: np.ndarray) -> np.ndarray:
    """The mean of the samples of each pixel."""
    height, width = values.shape[0] // SAMPLES, values.shape[1] // SAMPLES
    return values.reshape(height, SAMPLES, width, SAMPLES, *values.shape[2:]).mean(axis=(1, 3))


def cast_shadow(centres: np.ndarray, radii: np.ndarray, light: Light, shape: tuple[int, int]) -> np.ndarray:
    """The shadow on the ground z = 0, softer the higher what casts it: [H, W], from 0 to ``light.shadow``."""
    slope = np.asarray(light.direction[:2]) / max(light.direction[2], 1e-3)
    feet = centres[:, :2] - centres[:, 2:] * slope  # where the rays through the centres meet the ground
    covered = depth_buffer(np.column_stack([feet, np.zeros(len(feet))]), radii, shape)[1]
    blur = SOFTNESS * float(centres[:, 2].mean())
    return light.shadow * ndimage.gaussian_filter(pooled(covered.astype(np.float32)), blur)
