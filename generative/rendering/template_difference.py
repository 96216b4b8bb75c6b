"""Boxes around what differs between an image and its faultless template: inspection without learning.

The template is moved by whole pixels to where it fits best; it is not turned. The comparison tolerates edges that lie a pixel
aside, and its threshold follows the noise: as two photos of one board differ everywhere a little, a change counts from some
multiple of their median absolute deviation on. Edges of boxes are left, top,
right and bottom in pixels, from the left or upper side of the first pixel to the right or lower side of the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
EIGHT = np.ones((3, 3), dtype=bool)  # neighbours of a pixel: pieces that touch at a corner are one


@dataclass(frozen=True)
class DifferenceSetting:
    """How images are compared, and what becomes a box.

    ``shift``: pixels by which the template is moved at most, to each side, to fit; 0 takes pairs as aligned. ``blur``:
    deviation in pixels of a Gaussian on both images, 0 for none. ``tolerance``: pixels by which edges may lie aside.
    ``deviations`` and ``levels``: a change counts above so many median absolute deviations of its channel, and above so many
    of 255 levels. ``opening``: side in pixels of the square that a change must hold, 1 for none. ``least_area``: pixels of the
    smallest piece. ``reach``: pieces are joined that meet when each grows by so many pixels. ``margin``: pixels by which the box
    around the joined pieces grows to each side, to meet the convention of a set's boxes.
    """

    shift: int = 0
    blur: float = 0.0
    tolerance: int = 1
    deviations: float = 8.0
    levels: float = 64.0
    opening: int = 3
    least_area: int = 8
    reach: int = 0
    margin: int = 0

    def __post_init__(self) -> None:
        for name in ("shift", "blur", "tolerance", "deviations", "levels", "least_area", "reach", "margin"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} of a template difference must be at least 0, got {getattr(self, name)}")
        if self.opening < 1:
            raise ValueError(f"opening of a template difference must be at least 1 pixel, got {self.opening}")


@dataclass(frozen=True)
class FoundBoxes:
    """``boxes`` float64 [K, 4], and ``areas`` [K], the changed pixels within each: the more, the surer."""

    boxes: NDArray[np.float64]
    areas: NDArray[np.int64]


def find(image: NDArray[np.uint8], template: NDArray[np.uint8], setting: DifferenceSetting) -> FoundBoxes:
    """What differs between two pictures of one shape, uint8 [H, W] or [H, W, 3]; the box of the largest change comes first.

    ValueError where the shapes or the kinds of numbers disagree.
    """
    offset = offset_of(image, template, setting.shift)
    change, deviation = changes(image, template, offset=offset, blur=setting.blur, tolerance=setting.tolerance)
    mask = opened(exceeds(change, deviation, deviations=setting.deviations, levels=setting.levels), setting.opening)
    found = pieces(mask, least_area=setting.least_area, reach=setting.reach)
    return FoundBoxes(grown(found.boxes, setting.margin, image.shape), found.areas)


def offset_of(image: NDArray[np.uint8], template: NDArray[np.uint8], shift: int) -> tuple[int, int]:
    """The rows and columns (dy, dx), within ``shift`` pixels, for which T(x + d) is nearest to I(x) in mean absolute difference.

    On every second pixel of the green channel of colour pictures; (0, 0) where a picture is too small to be moved. Of equals
    the smallest move. ValueError as :func:`changes`.
    """
    check_pair(image, template)
    height, width = image.shape[:2]
    if shift == 0 or min(height, width) <= 4 * shift:
        return 0, 0
    tested, fault_free = (
        (picture if picture.ndim == 2 else picture[..., picture.shape[2] // 2]).astype(np.int16)
        for picture in (image, template)
    )
    middle = tested[shift : height - shift : 2, shift : width - shift : 2]

    def difference(move: tuple[int, int]) -> float:
        rows, columns = (
            slice(shift + by, side - shift + by, 2) for by, side in zip(move, (height, width), strict=True)
        )
        return float(np.abs(middle - fault_free[rows, columns]).mean())

    moves = [(dy, dx) for dy in range(-shift, shift + 1) for dx in range(-shift, shift + 1)]
    return min(sorted(moves, key=lambda move: move[0] ** 2 + move[1] ** 2), key=difference)


def changes(
    image: NDArray[np.uint8],
    template: NDArray[np.uint8],
    *,
    offset: tuple[int, int] = (0, 0),
    blur: float,
    tolerance: int,
) -> tuple[Floats, Floats]:
    """How far each pixel lies outside the range of the template's pixels around it: float32 [H, W, C], in levels.

    d(x) = max(I(x) - m - max_{|s| <= t} T(x + o + s), min_{|s| <= t} T(x + o + s) + m - I(x), 0) with ``offset`` o and m the
    median of I - T, so that one photo may be brighter than the other; 0 where the moved template does not reach. Also the median
    of |I - T - m|, float32 [C]. ValueError where the shapes or the kinds of numbers disagree.
    """
    check_pair(image, template)
    inside = tuple(slice(max(0, -by), side - max(0, by)) for by, side in zip(offset, image.shape[:2], strict=True))
    moved = tuple(slice(max(0, by), side - max(0, -by)) for by, side in zip(offset, image.shape[:2], strict=True))
    whole = (*image.shape[:2], 1 if image.ndim == 2 else image.shape[2])
    image, template = image[inside], template[moved]
    change = np.zeros(whole, dtype=np.float32)
    covered = change[inside]
    deviation = np.empty(whole[2], dtype=np.float32)
    for channel in range(whole[2]):
        tested, fault_free = (picture if picture.ndim == 2 else picture[..., channel] for picture in (image, template))
        if blur > 0:
            tested, fault_free = (ndimage.gaussian_filter(one.astype(np.float32), blur) for one in (tested, fault_free))
        rest = tested.astype(np.float32) - fault_free
        middle = np.median(rest)
        deviation[channel] = np.median(np.abs(rest - middle))
        width = 2 * tolerance + 1
        above = tested - middle - ndimage.maximum_filter(fault_free, width)
        below = ndimage.minimum_filter(fault_free, width) + middle - tested
        covered[..., channel] = np.maximum(np.maximum(above, below), 0)
    return change, deviation


def check_pair(image: NDArray[np.uint8], template: NDArray[np.uint8]) -> None:
    if image.shape != template.shape or image.ndim not in (2, 3):
        raise ValueError(
            f"an image and its template must be [H, W] or [H, W, C] of one shape, got {image.shape} and {template.shape}"
        )
    if image.dtype != np.uint8 or template.dtype != np.uint8:
        raise ValueError(f"an image and its template must be uint8, got {image.dtype} and {template.dtype}")


def exceeds(change: Floats, deviation: Floats, *, deviations: float, levels: float) -> Bools:
    """Where a channel of ``change`` [H, W, C] is above both ``levels`` and ``deviations`` times its ``deviation`` [C]: [H, W]."""
    return np.asarray((change > np.maximum(deviations * deviation, levels)).any(axis=2))


def opened(mask: Bools, side: int) -> Bools:
    """The union of all squares of ``side`` pixels that fit into a mask [H, W]."""
    if side == 1:
        return mask
    # Even sides have no middle pixel: the second filter is shifted the other way.
    shift = 0 if side % 2 else -1
    eroded = ndimage.minimum_filter(mask.view(np.uint8), side, mode="constant")
    return ndimage.maximum_filter(eroded, side, mode="constant", origin=shift).view(np.bool_)


def pieces(mask: Bools, *, least_area: int, reach: int) -> FoundBoxes:
    """Tight boxes of the pieces of a mask [H, W] that have ``least_area`` pixels, those within ``reach`` of one another joined.

    Two pieces are joined where squares of 2 ``reach`` + 1 pixels around theirs touch. The largest comes first.
    """
    labels, count = ndimage.label(mask, structure=EIGHT)
    if count:
        large = np.bincount(labels.ravel(), minlength=count + 1) >= least_area
        large[0] = False
        kept = large[labels]
        if reach:
            joined, count = ndimage.label(ndimage.maximum_filter(kept.view(np.uint8), 2 * reach + 1), structure=EIGHT)
            labels = joined * kept
        else:
            labels = labels * kept
    places = [(number, one) for number, one in enumerate(ndimage.find_objects(labels), start=1) if one is not None]
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for _, (y, x) in places], dtype=np.float64).reshape(-1, 4)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[[number for number, _ in places]].astype(np.int64)
    order = np.argsort(-areas, kind="stable")
    return FoundBoxes(boxes[order], areas[order])


def grown(boxes: NDArray[np.float64], margin: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Boxes [K, 4] with ``margin`` pixels more to each side, cut at the borders of an image of ``shape`` [H, W, ...]."""
    height, width = shape[:2]
    edges = boxes + np.array([-margin, -margin, margin, margin], dtype=np.float64)
    return np.clip(edges, 0, [width, height, width, height])
