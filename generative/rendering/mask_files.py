"""Which pixels of images are known, from files: one mask for all images, or one for each by its file name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generative.checks import check_choice
from generative.rendering.containers.formats import is_image
from generative.rendering.containers.sets import open_container
from generative.rendering.pictures import read_picture

MEANINGS = ("missing", "known")  # of white
NEAR = 25  # levels of 255 from black or from white within which a pixel counts as such
MOST_GREY = 0.05  # of the pixels: soft edges of a drawing, not a picture that is no mask


def read_masks(
    path: str | Path, names_or_count: Sequence[str] | int, height: int, width: int, *, white: str = "missing"
) -> Tensor:
    """The known pixels of images of ``height`` x ``width``: bool [N, 1, H, W], true where known.

    ``path`` is a picture in any format, one mask for all images, or a folder or archive with a mask for each image: that
    whose name without folder and suffix is the image's. ``names_or_count`` are the images' file names, or for one mask for
    all also their number. ``white`` is what white pixels are, ``missing`` or ``known``; black ones are the other. Grey is
    cut at half of white.

    ValueError for a mask of another size, one that hides everything or nothing, one with more than 5 percent of grey pixels
    or with transparent ones, for images without a mask, and for two masks of one name.
    """
    check_choice("meaning of white", white, MEANINGS)
    path = Path(path)
    if path.is_file() and is_image(path):
        count = names_or_count if isinstance(names_or_count, int) else len(names_or_count)
        return read_mask(path.read_bytes(), str(path), height, width, white=white).repeat(count, 1, 1, 1)
    with closing(open_container(path)) as files:
        if isinstance(names_or_count, int):
            raise ValueError(
                f"the masks in {path} are found by the images' file names, and these {names_or_count} images have none: give one "
                "mask for all"
            )
        found = masks_of(names_or_count, files.names, path)
        masks = [read_mask(files.content(name), f"{name} in {path}", height, width, white=white) for name in found]
    return torch.stack(masks)


def masks_of(images: Sequence[str], masks: Sequence[str], path: Path) -> list[str]:
    """The name among ``masks`` that each of the ``images`` has: with its folders, or where none has them, without.

    The names of ``images`` come with a suffix of an image or without one.
    """
    whole = {without_suffix(name): name for name in masks}
    stems = Counter(Path(stem).name for stem in whole)
    alone = {Path(stem).name: name for stem, name in whole.items() if stems[Path(stem).name] == 1}
    if len(whole) < len(masks):
        twice, count = Counter(map(without_suffix, masks)).most_common(1)[0]
        raise ValueError(f"{path} holds {count} masks called {twice}: leave one of them")
    own = [without_suffix(name) for name in images]
    found = [whole.get(stem) or alone.get(Path(stem).name) for stem in own]
    missing = [name for name, mask in zip(images, found, strict=True) if mask is None]
    if missing:
        raise ValueError(
            f"{path} has no mask for {len(missing)} of {len(images)} images, the first of which is {missing[0]}: put one called "
            f"{Path(without_suffix(missing[0])).name}.png there"
        )
    return [mask for mask in found if mask is not None]


def without_suffix(name: str) -> str:
    """A file's name without the suffix of an image; what else stands behind a point is part of it."""
    path = Path(name)
    return str(path.with_suffix("")) if is_image(path) else name


def read_mask(content: bytes, name: str, height: int, width: int, *, white: str) -> Tensor:
    """One encoded mask as bool [1, H, W], true where known; ValueError calls it ``name``."""
    picture = read_picture(content, name)
    if picture.transparent:
        raise ValueError(
            f"{name} has transparent parts, which are neither black nor white: save it without transparency"
        )
    levels = np.array(picture.image.convert("L"))
    if levels.shape != (height, width):
        raise ValueError(
            f"{name} is {levels.shape[0]} x {levels.shape[1]} pixels, the images {height} x {width} (height x width): bring it "
            "to their size"
        )
    grey = np.count_nonzero((levels > NEAR) & (levels < 255 - NEAR))
    if grey > MOST_GREY * levels.size:
        raise ValueError(
            f"{name} is no mask of black and white: {grey} of its {levels.size} pixels are grey or coloured, more than "
            f"{MOST_GREY:.0%}; make them black or white"
        )
    is_white = levels >= 128
    known = is_white if white == "known" else ~is_white
    if known.all() or not known.any():
        raise ValueError(
            f"{name} hides {'nothing' if known.all() else 'everything'}, since it is all {'white' if is_white.all() else 'black'}: "
            "draw what is missing and leave what is known, one in white and the other in black"
        )
    return torch.from_numpy(known)[None]
