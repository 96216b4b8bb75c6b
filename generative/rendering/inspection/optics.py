"""From light to the bytes of a photo: lamp, glints, point spread, vignetting, noise that grows with the signal, gamma."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from generative.rendering.inspection.address import Address
from generative.rendering.inspection.canvas import UNITS, Canvas, smooth_field

GAMMA = 2.2
READ_NOISE, SHOT_NOISE = 0.010, 0.0016  # standard deviation, and variance by signal, of 1,024 pixels a side
MOST_SHIFT, MOST_TURN, MOST_GAIN = 3.0, 0.5, 0.05  # of a twin that is not aligned: pixels, degrees, share


@dataclass(frozen=True)
class Optics:
    """One exposure of a board: what falls on it [S, S], what glossy pixels mirror beside it [S, S], and the camera."""

    light: np.ndarray
    glints: np.ndarray
    gain: float
    spread: float  # units, the standard deviation of the point spread
    vignetting: np.ndarray
    quality: int  # of JPEG

    def radiance(self, canvas: Canvas) -> np.ndarray:
        """Linear light [S, S, 3] at the lens."""
        return canvas.colour * self.light[..., None] + (self.glints * canvas.gloss)[..., None]

    def photo(self, canvas: Canvas, noise: np.random.Generator, *, moved: np.ndarray | None = None) -> np.ndarray:
        """The photo, uint8 [S, S, 3] in RGB; ``moved`` [2, 3] takes places of the photo to places of the board.

        signal = gain * vignetting * (point spread over the light); variance = read^2 + shot * signal; byte = 255 *
        signal^(1 / 2.2). The noise of a pixel falls with the size of the pixel, as means over pixels do.
        """
        seen = self.radiance(canvas)
        if moved is not None:
            size = (canvas.size, canvas.size)
            seen = cv2.warpAffine(
                seen, moved, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
            )
        seen = cv2.GaussianBlur(seen, (0, 0), max(0.25, self.spread * canvas.scale))
        seen = seen * (self.gain * self.vignetting)[..., None]
        grain = noise.standard_normal(size=seen.shape, dtype=np.float32) * np.float32(canvas.scale)
        seen += grain * np.sqrt(READ_NOISE**2 + SHOT_NOISE * np.maximum(seen, 0))
        coded = np.clip(seen, 0, 1) ** np.float32(1 / GAMMA)
        return np.rint(coded * 255).astype(np.uint8)


def optics_of(address: Address, canvas: Canvas) -> Optics:
    """The exposure of an image; the board ``canvas`` without defects sets its gain, as an automatic exposure would."""
    random = address.generator("light")
    window = canvas.whole()
    rows, columns = np.mgrid[: canvas.size, : canvas.size].astype(np.float32) / canvas.size - 0.5
    heading = canvas.light.azimuth
    slope = random.uniform(0.05, 0.35)
    light = 1 + np.float32(slope) * (columns * math.cos(heading) + rows * math.sin(heading))
    light += 0.05 * smooth_field(random, canvas, cells=3)
    centre = random.uniform(-0.1, 0.1, 2)
    away = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2
    light += np.float32(random.uniform(0, 0.25)) * np.exp(-away / 0.09)
    vignetting = 1 - np.float32(random.uniform(0.15, 0.45)) * (columns**2 + rows**2)
    glints = 0.12 * np.exp(-away / 0.04) * np.float32(random.uniform(0, 1))
    glints += sparks(address.generator("glints"), canvas)
    seen = canvas.colour.mean(axis=2) * light
    target, brightest = float(random.uniform(0.09, 0.17)), float(random.uniform(0.5, 0.85))
    gain = min(target / max(float(seen.mean()), 1e-4), brightest / max(float(np.percentile(seen[::4, ::4], 96)), 1e-4))
    assert window.shape == glints.shape
    return Optics(
        light=light.astype(np.float32),
        glints=glints.astype(np.float32),
        gain=gain,
        spread=float(random.uniform(0.9, 1.7)),
        vignetting=vignetting.astype(np.float32),
        quality=int(random.integers(86, 97)),
    )


def sparks(random: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """Small bright spots that show where a pixel is glossy: [S, S]."""
    found = np.zeros((canvas.size, canvas.size), np.float32)
    for _ in range(int(random.poisson(90))):
        place, radius, power = random.uniform(0, UNITS, 2), random.uniform(0.8, 3.2), random.gamma(1.0, 0.5)
        stretch, angle = random.uniform(1, 3.5), random.uniform(0, math.pi)
        window = canvas.window(place[None], margin=3 * radius * stretch)
        if min(window.shape) == 0:
            continue
        u, v = canvas.grid(window, centre=tuple(place), angle=angle)
        spot = np.exp(-((u / (radius * stretch)) ** 2) - (v / radius) ** 2)
        found[window.place] = found[window.place] + np.float32(power) * spot
    return found


def misalignment(random: np.random.Generator, size: int) -> tuple[np.ndarray, float, dict]:
    """How a twin that is not aligned lies, [2, 3] of places of its photo, its gain, and both in words."""
    shift = random.uniform(-MOST_SHIFT, MOST_SHIFT, 2)
    turn, gain = random.uniform(-MOST_TURN, MOST_TURN), 1 + random.uniform(-MOST_GAIN, MOST_GAIN)
    moved = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), turn, 1.0)
    moved[:, 2] = moved[:, 2] + shift
    return moved, float(gain), {"shift": shift.tolist(), "degrees": float(turn), "gain": float(gain)}
