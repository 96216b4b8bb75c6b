"""The common corruptions of Hendrycks and Dietterich (2019), computed anew: alike, but not the pixels of published sets.

python -m datamodules.corruptions PICTURE OUT   a sheet of the fifteen at severities 1, 3 and 5

imagecorruptions-imaug computes them: of five packages the one that is kept up and runs all with today's numpy and
scikit-image. Its formulas are the authors' but for motion_blur and snow (no ImageMagick), frost (one more picture) and
elastic_transform, which at severities 1 and 2 moves far less than in the published set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.presets import crop_bilinear
from generative.randomness import Stream
from generative.rendering.images import from_uint8, image_grid, side_by_side, to_pil
from generative.rendering.pictures import open_picture

KINDS = {  # the mean corruption error is over these fifteen
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")  # to choose hyperparameters on
SEVERITIES = range(1, 6)
PACKAGE = "imagecorruptions-imaug"  # imagecorruptions, the name of its module, is an older one that fails
SEEDED = ("impulse_noise", "glass_blur")  # take a seed; the others draw from numpy's global generator
SMALLEST = 32  # pixels a side


def kind_of(corruption: str) -> str:
    """One of KINDS, or ``extra``: also the name of the published archive. ValueError names the nearest corruption."""
    kinds = {name: kind for kind, names in (KINDS | {"extra": EXTRA}).items() for name in names}
    if corruption in kinds:
        return kinds[corruption]
    near = get_close_matches(corruption, kinds, n=1, cutoff=0.5)
    raise ValueError(
        f"there is no corruption {corruption!r}{f'; did you mean {near[0]!r}?' if near else ': ' + ', '.join(kinds)}"
    )


def check_severity(severity: int) -> None:
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be 1, 2, 3, 4 or 5, got {severity}")


def load_package() -> Callable[..., np.ndarray]:
    """What corrupts one image uint8 [H, W, 3]; ValueError says what to install."""
    try:
        version(PACKAGE)
        import cv2
        from imagecorruptions import corrupt as corrupt_one
    except (PackageNotFoundError, ImportError) as error:
        raise ValueError(
            f'corruptions are computed by {PACKAGE}, which cannot be used here ({error}): pip install -e ".[corruptions]"'
        ) from error
    cv2.setNumThreads(0)  # its threads do not survive the fork of a loading process
    return corrupt_one


@contextmanager
def global_generator_at(seed: int) -> Iterator[None]:
    """numpy's global generator at ``seed`` of 32 bits, and afterwards where it was."""
    state = np.random.get_state()  # noqa: NPY002 - the package draws from it
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def corrupt(images: Tensor, *, corruption: str, severity: int, seed: int, first_number: int) -> Tensor:
    """uint8 [N, 3, H, W] of images number ``first_number ..``: functions of the seed and the number.

    Not for several threads at once: numpy's global generator is one for all.
    """
    kind_of(corruption)
    check_severity(severity)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < SMALLEST:
        raise ValueError(
            f"only uint8 images [N, 3, H, W] of {SMALLEST} pixels a side or more can be corrupted, got {images.dtype} "
            f"{list(images.shape)}"
        )
    corrupt_one = load_package()
    bits = Stream(seed, f"corruption {corruption} {severity}").bits(first_number, len(images), 1)[:, 0]
    made = torch.empty_like(images)
    for place, own in enumerate((bits >> np.uint64(32)).tolist()):
        pixels = np.ascontiguousarray(images[place].permute(1, 2, 0).numpy())
        given = {"seed": own} if corruption in SEEDED else {}
        with global_generator_at(own):
            pixels = corrupt_one(pixels, severity=severity, corruption_name=corruption, **given)
        made[place] = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
    return made


def sheet_of(picture: Image.Image, *, side: int = 224, shown: int = 88) -> Image.Image:
    """A row for each three of the fifteen, each at severities 1, 3 and 5: computed at ``side`` pixels, drawn smaller."""
    square = torch.from_numpy(np.array(crop_bilinear(picture, side))).permute(2, 0, 1)[None]
    panels = []
    for corruption in (name for names in KINDS.values() for name in names):
        made = [corrupt(square, corruption=corruption, severity=s, seed=0, first_number=0)[0] for s in (1, 3, 5)]
        drawn = [np.asarray(crop_bilinear(to_pil(image), shown)) for image in made]
        tiles = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2)
        panels.append((corruption, image_grid(from_uint8(tiles), num_columns=3)))
    rows = [side_by_side(panels[first : first + 3]) for first in range(0, len(panels), 3)]
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    for place, row in enumerate(rows):
        sheet.paste(row, (0, place * row.height))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("out", type=Path, help="a PNG file")
    given = parser.parse_args()
    try:
        picture = open_picture(given.picture.read_bytes(), str(given.picture)).convert("RGB")
        given.out.parent.mkdir(parents=True, exist_ok=True)
        sheet_of(picture).quantize(128).save(given.out, "png", optimize=True)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
