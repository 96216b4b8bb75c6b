"""Blots, holes and chips as polygons: contours of real masks, and new ones with their texture.

A new outline scales the real one along rays from its centre, by a factor that changes slowly with the ray's angle. The inside
moves with it, so that the pixels of the real defect fill the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from generative.rendering.defects.draws import varied
from generative.rendering.defects.libraries import opencv

NUM_VERTICES = (6, 40)
RADIAL_NOISE = 0.15  # relative standard deviation of a new radius
NUM_WAVES = 4  # of the factor around a turn
PAD = 3


@dataclass(frozen=True)
class Warp:
    """Radius and angle of the new outline: source = centre + R(-turn) (p - middle) / (scale f(angle)), mirrored if so."""

    scale: float
    turn: float
    mirrored: bool
    waves: np.ndarray  # [NUM_WAVES, 2]: cosines and sines of the logarithm of f

    def factor(self, angles: np.ndarray) -> np.ndarray:
        """f at the angles, in the frame of the real defect."""
        orders = np.arange(1, NUM_WAVES + 1)
        phases = angles[..., None] * orders
        return np.exp(np.cos(phases) @ self.waves[:, 0] + np.sin(phases) @ self.waves[:, 1])

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 2] (x, y) around the real centre to those around the new one."""
        grown = points * self.factor(np.arctan2(points[:, 1], points[:, 0]))[:, None] * self.scale
        if self.mirrored:
            grown = grown * np.array([-1.0, 1.0])
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return grown @ np.array([[cos, sin], [-sin, cos]])

    def sources(self, points: np.ndarray) -> np.ndarray:
        """The way back, for points [..., 2]."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        back = points @ np.array([[cos, -sin], [sin, cos]])
        if self.mirrored:
            back = back * np.array([-1.0, 1.0])
        return back / (self.factor(np.arctan2(back[..., 1], back[..., 0])) * self.scale)[..., None]


def fit(mask: np.ndarray) -> np.ndarray:
    """The contour of the largest piece of a mask as 6 to 40 vertices (x, y) by Douglas and Peucker: [K, 2]; ValueError if empty."""
    cv2 = opencv()
    contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not contours:
        raise ValueError("the mask is empty: it marks no pixel of a defect")
    contour = max(contours, key=cv2.contourArea)
    if len(contour) < 3:
        raise ValueError("the mask is a point or a line of pixels: it has no area to fill")
    low, high = 0.0, float(max(mask.shape))
    best = contour
    for _ in range(20):  # the finest tolerance that leaves no more than 40 vertices
        middle = (low + high) / 2
        found = cv2.approxPolyDP(contour, middle, True)
        if len(found) > NUM_VERTICES[1]:
            low = middle
        else:
            high = middle
            best = found
    # A tolerance below half a pixel would follow the stairs of pixels.
    fair = cv2.approxPolyDP(contour, 0.7, True)
    if NUM_VERTICES[0] <= len(fair) <= NUM_VERTICES[1]:
        best = fair
    vertices: np.ndarray = best[:, 0].astype(np.float64)
    return vertices if len(vertices) >= NUM_VERTICES[0] else subdivided(vertices)


def subdivided(vertices: np.ndarray) -> np.ndarray:
    """With vertices in the middle of its longest sides until there are six."""
    while len(vertices) < NUM_VERTICES[0]:
        following = np.roll(vertices, -1, axis=0)
        longest = int(np.argmax(np.linalg.norm(following - vertices, axis=1)))
        middle = (vertices[longest] + following[longest]) / 2
        vertices = np.insert(vertices, longest + 1, middle, axis=0)
    return vertices


def new_warp(
    random: np.random.Generator, *, turn: float = 0.0, mirrored: bool = False, noise: float = RADIAL_NOISE
) -> Warp:
    """A change of outline with the relative standard deviation ``noise`` at every angle, slow waves stronger than quick ones."""
    shares = 1.0 / np.arange(1, NUM_WAVES + 1)
    scales = noise * shares / np.sqrt((shares**2).sum())
    waves = scales[:, None] * random.standard_normal((NUM_WAVES, 2))
    return Warp(varied(1.0, random, noise=noise), turn, mirrored, waves)


def is_simple(vertices: np.ndarray) -> bool:
    """Whether no two sides of a polygon [K, 2] cross."""
    a, b = vertices, np.roll(vertices, -1, axis=0)

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return np.sign(
            (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])
        )

    p, q = a[:, None], b[:, None]
    r, s = a[None], b[None]
    cross = (side(p, q, r) * side(p, q, s) < 0) & (side(r, s, p) * side(r, s, q) < 0)
    return not cross.any()


def filled(vertices: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The mask of a polygon [K, 2], bool [H, W]: what lies within or on it."""
    cv2 = opencv()
    canvas = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(canvas, [np.rint(vertices).astype(np.int32)], 1)
    return canvas.astype(bool)


def warped(pixels: np.ndarray, centre: np.ndarray, warp: Warp, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a real defect inside a new outline, and where its first pixel lies.

    ``pixels`` [h, w, C] float around the real ``centre`` (x, y); ``vertices`` [K, 2] of the new polygon around (0, 0).
    Returns [H, W, C] and (x, y) of the first pixel from the new centre.
    """
    low = np.floor(vertices.min(axis=0)).astype(int) - PAD
    high = np.ceil(vertices.max(axis=0)).astype(int) + PAD + 1
    grid = np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1])), axis=-1).astype(np.float64)
    places = warp.sources(grid) + centre
    at = [places[..., 1], places[..., 0]]
    layers = [
        ndimage.map_coordinates(pixels[..., channel], at, order=1, mode="nearest") for channel in range(pixels.shape[2])
    ]
    return np.stack(layers, axis=-1), low
