"""What is drawn on: linear light and gloss of each pixel, places in units that do not depend on the resolution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

UNITS = 1024.0  # of an image's side, whatever its resolution
FRACTION = 4  # bits of a coordinate's fraction in OpenCV's lines
cv2.setNumThreads(0)  # threads do not survive the fork of a loading process


def linear(red: int, green: int, blue: int) -> np.ndarray:
    """Linear light [3] in [0, 1] of a colour as screens write it, 0 .. 255."""
    return (np.array([red, green, blue], np.float32) / 255) ** np.float32(2.2)


@dataclass(frozen=True)
class Light:
    """Direction to the lamp that is brighter than the rest of the ring: azimuth in the image, and its height over it."""

    azimuth: float
    elevation: float

    @property
    def vector(self) -> np.ndarray:
        """Unit vector [3]: x to the right, y down, z to the camera."""
        flat = math.cos(self.elevation)
        return np.array(
            [flat * math.cos(self.azimuth), flat * math.sin(self.azimuth), math.sin(self.elevation)], np.float32
        )

    @property
    def shadow(self) -> np.ndarray:
        """Where the shadow of a thing of height 1 falls [2]."""
        return -self.vector[:2] / max(0.35, float(self.vector[2]))


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: everything that is drawn at once lies in one."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def place(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left


class Canvas:
    """Linear colour [S, S, 3] and gloss [S, S] of ``size`` S pixels; units are turned by ``angle`` and moved by ``shift``."""

    def __init__(self, size: int, *, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), light: Light) -> None:
        self.size, self.scale, self.light = size, size / UNITS, light
        cos, sin = math.cos(angle), math.sin(angle)
        self.turn = np.array([[cos, -sin], [sin, cos]])
        self.offset = UNITS / 2 + np.array(shift) - self.turn @ np.full(2, UNITS / 2)
        self.angle = angle
        self.colour = np.zeros((size, size, 3), np.float32)
        self.gloss = np.zeros((size, size), np.float32)

    def copy(self) -> Canvas:
        other = Canvas.__new__(Canvas)
        other.__dict__.update(self.__dict__)
        other.colour, other.gloss = self.colour.copy(), self.gloss.copy()
        return other

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Units [N, 2] -> pixels [N, 2], x to the right and y down; pixel k reaches from k to k + 1."""
        return (np.asarray(points, np.float64) @ self.turn.T + self.offset) * self.scale

    def window(self, points: np.ndarray, *, margin: float = 0.0) -> Window:
        """The pixels around ``points`` [N, 2] in units, ``margin`` units farther, within the image; it may be empty."""
        found = self.pixels(points)
        reach = margin * self.scale + 2
        low = np.clip(np.floor(found.min(axis=0) - reach), 0, self.size).astype(int)
        high = np.clip(np.ceil(found.max(axis=0) + reach), 0, self.size).astype(int)
        return Window(int(low[1]), int(low[0]), int(max(low[1], high[1])), int(max(low[0], high[0])))

    def whole(self) -> Window:
        return Window(0, 0, self.size, self.size)

    def grid(
        self, window: Window, *, centre: Sequence[float] | np.ndarray = (0.0, 0.0), angle: float = 0.0, fine: int = 1
    ) -> tuple:
        """Units u, v [h, w] of the window's pixels (of parts of them: ``fine`` a side), seen from ``centre`` along ``angle``."""
        rows = (np.arange(window.top * fine, window.bottom * fine, dtype=np.float32) + 0.5) / (fine * self.scale)
        columns = (np.arange(window.left * fine, window.right * fine, dtype=np.float32) + 0.5) / (fine * self.scale)
        middle = self.turn @ np.asarray(centre) + self.offset
        x, y = columns[None, :] - np.float32(middle[0]), rows[:, None] - np.float32(middle[1])
        cos, sin = np.float32(math.cos(angle + self.angle)), np.float32(math.sin(angle + self.angle))
        return cos * x + sin * y, cos * y - sin * x

    def cover(self, distance: np.ndarray, *, soft: float = 0.0) -> np.ndarray:
        """How much of each pixel lies inside, by the signed ``distance`` in units, below 0 inside; ``soft`` units of blur."""
        width = max(1.0, soft * self.scale)
        return np.clip(0.5 - distance * np.float32(self.scale / width), 0, 1)

    def paint(
        self, window: Window, cover: np.ndarray, colour: np.ndarray, *, gloss: float | np.ndarray | None = None
    ) -> None:
        """``colour`` [3] or [h, w, 3] over what is there, as ``cover`` [h, w] says."""
        below = self.colour[window.place]
        below += cover[..., None] * (colour - below)
        if gloss is not None:
            shine = self.gloss[window.place]
            shine += cover * (gloss - shine)

    def shade(self, window: Window, factor: np.ndarray) -> None:
        """Multiply what is there by ``factor`` [h, w]."""
        self.colour[window.place] *= factor[..., None]

    def lines(self, paths: Iterable[tuple[np.ndarray, float]]) -> np.ndarray:
        """Coverage [S, S] of polylines [N, 2], each with its width in units."""
        fine = 2 if self.size >= 1024 else 3 if self.size >= 512 else 4
        picture = np.zeros((self.size * fine, self.size * fine), np.uint8)
        for points, width in paths:
            places = np.rint((self.pixels(points) * fine - 0.5) * 2**FRACTION).astype(np.int32)
            thickness = max(1, round(width * self.scale * fine))
            cv2.polylines(picture, [places[:, None]], False, 255, thickness, cv2.LINE_8, FRACTION)
        return cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def box_distance(
    u: np.ndarray, v: np.ndarray, half: Sequence[float] | np.ndarray, *, radius: float = 0.0
) -> np.ndarray:
    """Signed distance to a rectangle of half sides ``half`` with corners of ``radius``, below 0 inside."""
    x, y = np.abs(u) - (half[0] - radius), np.abs(v) - (half[1] - radius)
    outside = np.sqrt(np.maximum(x, 0) ** 2 + np.maximum(y, 0) ** 2)
    return outside + np.minimum(np.maximum(x, y), 0) - np.float32(radius)


@lru_cache(maxsize=512)
def lettering(text: str, height: int) -> np.ndarray:
    """Coverage [h, w] of a line of text in Pillow's own font of ``height`` pixels, with a border of one pixel."""
    font = ImageFont.load_default(size=height)
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (math.ceil(right - left) + 4, math.ceil(bottom - top) + 4))
    ImageDraw.Draw(picture).text((2 - left, 2 - top), text, fill=255, font=font)
    return np.asarray(picture, np.float32) / 255


def text_cover(canvas: Canvas, u: np.ndarray, v: np.ndarray, text: str, *, height: float) -> np.ndarray:
    """Coverage [h, w] of ``text`` whose middle is at u = v = 0 and whose letters are ``height`` units high."""
    pixels = max(6, round(height * canvas.scale * 1.4))
    letters = lettering(text, pixels)
    step = np.float32(pixels / (height * 1.4))
    across, down = u * step + letters.shape[1] / 2 - 0.5, v * step + letters.shape[0] / 2 - 0.5
    return cv2.remap(letters, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR, borderValue=0)


def smooth_field(random: np.random.Generator, canvas: Canvas, *, cells: int) -> np.ndarray:
    """Smooth noise [S, S] of about ``cells`` hills a side, mean 0 and standard deviation about 1, alike at all resolutions."""
    coarse = random.normal(size=(cells + 3, cells + 3)).astype(np.float32) * 1.5
    side = math.ceil(canvas.size * (cells + 3) / cells)
    first = side // (cells + 3)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)[first:, first:][: canvas.size, : canvas.size]
