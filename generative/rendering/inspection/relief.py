"""Surfaces with a height: Lambert's and Phong's terms of one lamp, and the bright line that a ring of lamps draws on gloss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from generative.rendering.inspection.canvas import Canvas, Window

RING_TILT = 0.42  # radians by which a surface leans that mirrors the ring into the camera


@dataclass(frozen=True)
class Material:
    """Linear colour [3], how much it mirrors, the exponent of its highlight."""

    colour: np.ndarray
    mirror: float
    sharpness: float = 40.0


def lit(canvas: Canvas, height: np.ndarray, material: Material, *, blur: float = 0.0) -> np.ndarray:
    """Linear colour [h, w, 3] of a surface whose ``height`` [h, w] in units is seen from above; ``blur`` units rounds it off.

    diffuse = N.L, highlight = (N.H)^sharpness with H between lamp and camera; the ring's line lies where N leans by
    ``RING_TILT``.
    """
    if blur * canvas.scale > 0.3:
        height = cv2.GaussianBlur(height, (0, 0), blur * canvas.scale)
    down, across = np.gradient(height * np.float32(canvas.scale))
    up = 1 / np.sqrt(1 + across**2 + down**2)
    x, y, z = canvas.light.vector
    facing = np.maximum(up * (z - across * x - down * y), 0) / z
    half = np.array([x, y, z + 1]) / math.sqrt(x * x + y * y + (z + 1) ** 2)
    highlight = np.maximum(up * (half[2] - across * half[0] - down * half[1]), 0) ** material.sharpness
    lean = np.arccos(np.clip(up, 0, 1))
    ring = np.exp(-(((lean - RING_TILT) / 0.12) ** 2)) * np.clip(facing, 0.25, 1.5)
    shine = np.float32(material.mirror) * (0.75 * highlight + 0.5 * ring)
    body = material.colour * (0.45 + 0.55 * np.minimum(facing, 1.6))[..., None]
    return (body + shine[..., None]).astype(np.float32)


def cast_shadow(canvas: Canvas, window: Window, cover: np.ndarray, *, height: float, depth: float = 0.5) -> None:
    """Darken the ground of a thing with ``cover`` [h, w] that stands ``height`` units over it, within the window."""
    move = canvas.light.shadow * height * canvas.scale * 0.6
    matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]], np.float32)
    moved = cv2.warpAffine(cover, matrix, (cover.shape[1], cover.shape[0]))
    soft = max(0.4, 0.35 * height * canvas.scale)
    canvas.shade(window, 1 - np.float32(depth) * cv2.GaussianBlur(moved, (0, 0), soft))
