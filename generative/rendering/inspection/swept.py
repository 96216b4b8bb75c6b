"""Things along a path with a width at each place: fibres, cracks and scratches by the distance to their middle line."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from generative.rendering.inspection.canvas import Canvas, Window

FINE = 2  # parts of a pixel a side that shapes are drawn in
NEAREST = 2.0  # parts of a pixel within which the nearest point of a path is known
THINNEST = 0.35  # pixels, the least radius of what is drawn: small images show hairs too


@dataclass(frozen=True)
class Swept:
    """A path drawn: for each part of a pixel [h, w] of the window its distance and its side, in units, and the nearest place."""

    window: Window
    distance: np.ndarray
    side: np.ndarray  # the distance with the sign of the side of the path
    place: np.ndarray  # number of the nearest point of the path

    def cover(self, canvas: Canvas, radius: np.ndarray, *, soft: float = 0.0) -> np.ndarray:
        """Coverage of each part of a pixel, by the ``radius`` [N] at each point of the path."""
        width = max(1.0, soft * canvas.scale * FINE)
        shown = np.maximum(radius, THINNEST / canvas.scale).astype(np.float32)
        return np.clip(0.5 + (shown[self.place] - self.distance) * np.float32(canvas.scale * FINE / width), 0, 1)

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Parts of pixels [h, w] or [h, w, C] -> means over pixels."""
        height, width = self.window.shape
        return cv2.resize(values.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)


def shown_part(cover: np.ndarray, share: float) -> np.ndarray:
    """The pixels that show a thing by its ``cover`` [h, w]: above a ``share`` of 1, or of the most where it fills no pixel."""
    return cover > share * min(1.0, float(cover.max(initial=1e-6)))


def resampled(path: np.ndarray, step: float) -> np.ndarray:
    """The path [N, 2] by points at most ``step`` units apart: float64 [M, 2]."""
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    places = np.concatenate([[0.0], lengths.cumsum()])
    wanted = np.linspace(0, places[-1], max(2, int(np.ceil(places[-1] / step)) + 1))
    return np.stack([np.interp(wanted, places, path[:, k]) for k in range(2)], axis=1)


def sweep(canvas: Canvas, path: np.ndarray, *, margin: float) -> Swept | None:
    """The distances around a path of points less than half a pixel apart, as far as ``margin`` units; None outside the image."""
    window = canvas.window(path, margin=margin)
    height, width = window.shape
    if min(height, width) < 1:
        return None
    seeds = np.full((height * FINE, width * FINE), 255, np.uint8)
    places = canvas.pixels(path) * FINE - np.array([window.left, window.top]) * FINE
    cells = np.floor(places).astype(int)
    there = np.flatnonzero(((cells >= 0) & (cells < [width * FINE, height * FINE])).all(axis=1))
    if len(there) == 0:
        return None
    seeds[cells[there, 1], cells[there, 0]] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    numbers = np.zeros(int(labels.max()) + 1, np.int64)
    ends = there[(there == 0) | (there == len(path) - 1)]
    for chosen in (there, ends):
        numbers[labels[cells[chosen, 1], cells[chosen, 0]]] = chosen
    place = numbers[labels]
    x = np.arange(width * FINE, dtype=np.float32)[None] + 0.5 - places[place, 0].astype(np.float32)
    y = np.arange(height * FINE, dtype=np.float32)[:, None] + 0.5 - places[place, 1].astype(np.float32)
    tangent = np.gradient(places, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    across = tangent[place, 0].astype(np.float32) * y - tangent[place, 1].astype(np.float32) * x
    along = tangent[place, 0].astype(np.float32) * x + tangent[place, 1].astype(np.float32) * y
    # The nearest point is known to a part of a pixel; the distance to the line through it is exact.
    beyond = ((place == 0) & (along < 0)) | ((place == len(path) - 1) & (along > 0)) | (np.abs(along) > NEAREST)
    distance = np.where(beyond, np.sqrt(x * x + y * y), np.abs(across))
    distance *= np.float32(1 / (canvas.scale * FINE))
    return Swept(window, distance, np.sign(across) * distance, place)


def path_step(canvas: Canvas) -> float:
    """Units between the points of a path that is drawn on the canvas."""
    return 0.35 / (canvas.scale * FINE)
