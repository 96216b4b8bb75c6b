"""Sets of images in a folder or a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

READABLE_MODES = {"L", "RGB", "RGBA", "P", "1"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def read_images(path: Path) -> Tensor:
    """All images below a folder or in a zip, in the order of their names: uint8 [N, C, H, W], C = 1 or 3.

    ValueError where there are none, where one cannot be read (its name is given) or where sizes differ.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        decoded = [(str(file), decode(file, str(file))) for file in files]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if Path(name).suffix.lower() in SUFFIXES)
            decoded = [(name, decode(archive.open(name), f"{name} in {path}")) for name in names]
    else:
        raise ValueError(f"{path} is neither a folder nor a zip of images")
    if not decoded:
        raise ValueError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))})")
    shape = decoded[0][1].shape
    for name, image in decoded:
        if image.shape != shape:
            raise ValueError(
                f"{name} is {tuple(image.shape)}, the images before it {tuple(shape)}: bring them to one size"
            )
    return torch.stack([image for _, image in decoded])


def decode(file: object, name: str) -> Tensor:
    """One file as uint8 [C, H, W]: grey stays one channel, everything else becomes RGB."""
    try:
        with Image.open(file) as opened:  # type: ignore[arg-type]
            if opened.mode not in READABLE_MODES:
                raise ValueError(f"{name} is of mode {opened.mode}, not 8 bits grey or colour: convert it first")
            picture = opened if opened.mode == "L" else opened.convert("RGB")
            array = np.array(picture)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{name} is not a readable image: {error}") from error
    return torch.from_numpy(array)[None] if array.ndim == 2 else torch.from_numpy(array).permute(2, 0, 1)
