"""The fast file set that prepare.py writes: bytes of one size, labels, and what they were made of."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import JoinedRows
from generative.rendering.images import fingerprint

DESCRIPTION = "prepared.json"
JOURNAL = "preparing.json"  # there as long as the set is not finished
FORMAT = 1
MOST_IN_MEMORY = 2**31  # bytes of a split that are read whole; more stay on disk and are paged in


def images_file(split: str, resolution: int) -> str:
    return f"{split}_{resolution}px.u8"


def labels_file(split: str) -> str:
    return f"{split}_labels.i64"


def read_description(folder: Path) -> dict[str, Any] | None:
    """What ``prepared.json`` says; None where there is none. ValueError where the set was never finished."""
    file = folder / DESCRIPTION
    if not file.exists():
        if (folder / JOURNAL).exists():
            raise ValueError(
                f"the preparation of {folder} was interrupted: start the same command again, and it goes on"
            )
        return None
    try:
        facts: dict[str, Any] = json.loads(file.read_text())
        version = facts.get("format")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error}): prepare the set again") from error
    if version != FORMAT:
        raise ValueError(f"{folder} was prepared by another version: make it again with python -m datamodules.prepare")
    return facts


def read_split(folder: Path, split: str, resolution: int) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, C, H, W] and labels int64 [N] (0 without classes); ValueError says what is missing."""
    facts = read_description(folder)
    if facts is None:
        raise ValueError(f"{folder} holds no prepared set: make one with python -m datamodules.prepare SOURCE {folder}")
    if split not in facts["splits"]:
        raise ValueError(f"{folder} has no split {split!r}, but {', '.join(facts['splits'])}")
    if resolution not in facts["resolutions"]:
        made = ", ".join(map(str, facts["resolutions"]))
        raise ValueError(
            f"{folder} was prepared at {made} pixels, not at {resolution}: prepare it into another folder with "
            f"--resolution {resolution}"
        )
    count = facts["splits"][split]["count"]
    images = read_images(folder, split, resolution, count=count, channels=facts["channels"])
    labels = torch.from_numpy(np.fromfile(whole_file(folder / labels_file(split), count * 8), np.int64))
    return images, labels.clamp(min=0)


def read_images(folder: Path, split: str, resolution: int, *, count: int, channels: int) -> Tensor:
    """uint8 [count, channels, resolution, resolution], in memory or, above ``MOST_IN_MEMORY``, mapped from the file."""
    shape = (count, resolution, resolution, channels)
    file = whole_file(folder / images_file(split, resolution), math.prod(shape))
    in_memory = math.prod(shape) <= MOST_IN_MEMORY
    # Copy on write: torch wants memory that it may write to, and the file stays as it is.
    pixels = np.fromfile(file, np.uint8).reshape(shape) if in_memory else np.memmap(file, np.uint8, "c", shape=shape)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def split_to_test_on(splits: Iterable[str]) -> str | None:
    """Which of a prepared set's splits is tested on; None where a part of the training images is held out for it."""
    return next((name for name in ("test", "val") if name in splits), None)


def take_fingerprints(folder: Path, *, splits: dict[str, int], resolutions: list[int], channels: int) -> dict[str, Any]:
    """Fingerprints of the images by resolution and split, of which ``splits`` gives the counts; "all" is what a data module
    calls so: training and test images one after the other.
    """
    found: dict[str, Any] = {}
    for resolution in resolutions:
        images = {
            split: read_images(folder, split, resolution, count=count, channels=channels)
            for split, count in splits.items()
        }
        found[str(resolution)] = {split: fingerprint(part) for split, part in images.items()}
        tested_on = split_to_test_on(splits)
        if "train" in splits and tested_on is not None:
            both = cast(Tensor, JoinedRows([images["train"], images[tested_on]]))
            found[str(resolution)]["all"] = fingerprint(both)
    return found


def whole_file(file: Path, num_bytes: int) -> Path:
    if not file.exists() or file.stat().st_size != num_bytes:
        raise ValueError(f"{file} is missing or cut short: remove {file.parent} and prepare the set again")
    return file


def hash_of(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(2**24):
            digest.update(block)
    return digest.hexdigest()[:16]
