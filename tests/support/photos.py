"""Small photos of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_photos(folder: Path, *, size: tuple[int, int] = (20, 12), mode: str = "RGB") -> Path:
    folder.mkdir()
    for number in range(2):
        channels = 3 if mode == "RGB" else 1
        array = np.random.default_rng(number).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
        Image.fromarray(array.squeeze()).save(folder / f"{number}.png")
    return folder
