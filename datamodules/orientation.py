"""How a photo lies in its file: cameras store what the sensor saw, and by EXIF how it is turned when it is shown.

Pictures are shown upright. Boxes and masks were drawn on the upright picture by most tools, on the stored one by some:
their size says which, where the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from PIL import Image

from generative.rendering.pictures import LYING, orientation_of, reason, upright_size


class DrawnOn(Enum):
    """What the size of a mask, or of the image that boxes are stated for, says of the picture they were drawn on."""

    UPRIGHT = "as it is shown"
    STORED = "as it lies in its file"
    EITHER = "both have that size"
    NEITHER = "none has that size"


@dataclass(frozen=True)
class StoredPicture:
    """Height and width of a picture as it lies in its file, and EXIF's number of how it is turned (1: not at all)."""

    height: int
    width: int
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width as it is shown."""
        return (self.width, self.height) if self.orientation in LYING else self.size

    def drawn_on(self, size: tuple[int, int] | None) -> DrawnOn:
        """What ``size`` (height, width; None: not stated) says of masks or boxes of this picture."""
        if self.orientation == 1:
            return DrawnOn.UPRIGHT if size in (None, self.size) else DrawnOn.NEITHER
        match size in (None, self.upright), size in (None, self.size):
            case True, True:
                return DrawnOn.EITHER
            case True, False:
                return DrawnOn.UPRIGHT
            case False, True:
                return DrawnOn.STORED
        return DrawnOn.NEITHER

    def turned(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Left, top, right and bottom on the upright picture of a box on the stored one."""
        left, top, right, bottom = box
        if self.orientation in (2, 3, 7, 8):
            left, right = self.width - right, self.width - left
        if self.orientation in (3, 4, 6, 7):
            top, bottom = self.height - bottom, self.height - top
        return (top, left, bottom, right) if self.orientation in LYING else (left, top, right, bottom)


def read_stored_picture(path: Path) -> StoredPicture:
    """By the header of an image file; ValueError where there is none that can be read."""
    try:
        with Image.open(path) as picture:
            orientation, size = orientation_of(picture), upright_size(picture)
            return StoredPicture(*(size[::-1] if orientation in LYING else size), orientation)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: fetch the set again, or take the image off its list") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image ({reason(error)}): fetch it again") from error
