"""Codecs of today at many qualities, through Pillow: what docs.ledger.codec holds ours against."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, features
from torch import Tensor

from generative.codec.rate_distortion import psnr
from generative.rendering.images import to_pil

QUALITIES = (1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 30, 36, 43, 50, 58, 66, 74, 82, 90)
COLOURS = ("4:4:4", "4:2:0")  # whether colours have as many pixels as brightness, or a quarter


def jpeg_settings() -> Iterator[dict[str, Any]]:
    """Whole and quartered colours, baseline and progressive, with tables made for the image."""
    for subsampling in COLOURS:
        for progressive in (False, True):
            yield {"subsampling": subsampling, "progressive": progressive, "optimize": True}


def webp_settings() -> Iterator[dict[str, Any]]:
    yield {"method": 6}


def avif_settings() -> Iterator[dict[str, Any]]:
    for subsampling in COLOURS:
        yield {"subsampling": subsampling, "speed": 4}


def jxl_settings() -> Iterator[dict[str, Any]]:
    yield {"effort": 7}


# By Pillow's name of the format, in the order of the page.
SETTINGS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "JPEG": jpeg_settings,
    "WEBP": webp_settings,
    "AVIF": avif_settings,
    "JXL": jxl_settings,
}
NAMES = {"JPEG": "JPEG", "WEBP": "WebP", "AVIF": "AVIF", "JXL": "JPEG XL"}


@dataclass(frozen=True)
class Curve:
    """``points`` of a codec on an image, (bytes, PSNR), each better than all cheaper ones; CPU seconds of coding and decoding."""

    codec: str
    points: list[tuple[int, float]]
    seconds: float


def check_peers() -> None:
    """ValueError where a codec is missing here."""
    for name in ("webp", "avif"):
        if not features.check(name):
            raise ValueError(f"this Pillow writes no {name}: pip install --force-reinstall pillow, from its wheels")
    try:
        import pillow_jxl  # noqa: F401 - tells Pillow of the format
    except ImportError as error:
        raise ValueError(f'JPEG XL needs the package pillow-jxl-plugin ({error}): pip install -e ".[codec]"') from error


def copies(image: Tensor, codec: str) -> Iterator[tuple[int, np.ndarray]]:
    """Bytes of a file and what is read from it, for all settings and qualities of a codec on a uint8 image [C, H, W]."""
    picture = to_pil(image)
    for settings in SETTINGS[codec]():
        for quality in QUALITIES:
            written = io.BytesIO()
            picture.save(written, codec, quality=quality, **settings)
            with Image.open(written) as opened:
                yield len(written.getvalue()), np.array(opened.convert(picture.mode))


def curve(image: Tensor, codec: str) -> Curve:
    """The frontier of a codec's settings and qualities on a uint8 image [C, H, W]."""
    whole, begun = np.array(to_pil(image)), time.process_time()
    found = [(taken, psnr(whole, copy)) for taken, copy in copies(image, codec)]
    kept: list[tuple[int, float]] = []
    for point in sorted(found, key=lambda point: (point[0], -point[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    return Curve(codec, kept, time.process_time() - begun)


def best_copy(image: Tensor, codec: str, *, most: int) -> tuple[int, np.ndarray] | None:
    """The copy of the highest PSNR in no more than ``most`` bytes, and its bytes; None where no file is so small."""
    whole = np.array(to_pil(image))
    within = [(taken, copy) for taken, copy in copies(image, codec) if taken <= most]
    return max(within, key=lambda found: psnr(whole, found[1]), default=None)
