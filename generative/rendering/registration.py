"""A faultless twin moved onto its picture: shifted by phase correlation, then turned by ECC, before the two are a pair.

Two photos of one part differ by a shift, a small turn and the light. What differs beyond that is the defect, and no transform
may follow it: the correlation is that of whole pictures, and only shifts and turns are looked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generative.rendering.defects.libraries import needed

SUBPIXELS = 20  # steps a pixel of the phase correlation
ECC_STEPS, ECC_PRECISION = 200, 1e-6
ECC_BLUR = 5  # pixels a side of the Gaussian that both pictures are smoothed with for ECC
LEAST_CORRELATION = 0.8  # of a pair's pixels once registered: below it the two do not show the same
LEAST_SIDE = 16


@dataclass(frozen=True)
class Registered:
    """``twin``, a picture of bytes like the one given, as it lies on the other; ``known`` bool [H, W], where it has pixels.

    ``shift``: (x, y) in pixels that the middle of the twin was moved by. ``degrees``: by which it was turned, counter-clockwise
    as it is seen. ``correlation``: of the grey pixels of both in the known part, 1 where they differ in light alone.
    ``residual``: pixels (x, y taken together) that phase correlation still finds between them, 0 where they lie as one.
    """

    twin: np.ndarray
    known: np.ndarray
    shift: tuple[float, float]
    degrees: float
    correlation: float
    residual: float


def register(
    picture: np.ndarray,
    twin: np.ndarray,
    *,
    most_shift: float = 8.0,
    most_degrees: float = 2.0,
    most_residual: float = 0.3,
) -> Registered:
    """``twin`` moved onto ``picture``, both uint8 [H, W] or [H, W, C] of one size.

    ValueError, in one sentence, where they have to be moved farther than ``most_shift`` pixels or turned by more than
    ``most_degrees``, and where afterwards they lie ``most_residual`` pixels apart or do not correlate.
    """
    if picture.shape != twin.shape or min(picture.shape[:2]) < LEAST_SIDE:
        raise ValueError(
            f"a picture of {picture.shape[1]} x {picture.shape[0]} pixels and a twin of {twin.shape[1]} x {twin.shape[0]} make "
            f"no pair: give two of one size, of {LEAST_SIDE} pixels a side or more"
        )
    cv2 = needed("cv2", "registering twins")
    fixed, moving = grey(picture), grey(twin)
    first = offset(fixed, moving)
    if math.hypot(*first) > most_shift:
        raise ValueError(
            f"the twin lies {math.hypot(*first):.1f} pixels from its picture, more than {most_shift:g}: take both from one place, "
            "or leave this pair out"
        )
    matrix = np.array([[1.0, 0.0, -first[0]], [0.0, 1.0, -first[1]]], dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_STEPS, ECC_PRECISION)
    try:
        _, matrix = cv2.findTransformECC(fixed, moving, matrix, cv2.MOTION_EUCLIDEAN, criteria, None, ECC_BLUR)
    except cv2.error as error:
        raise ValueError("the twin and its picture do not show the same part: leave this pair out") from error
    height, width = fixed.shape
    # The matrix says where a pixel of the picture is found on the twin: the twin itself moves the other way.
    degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = middle - (matrix[:, :2] @ middle + matrix[:, 2])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(twin, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.warpAffine(
        np.ones((height, width), np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    found = Registered(
        moved,
        known.astype(bool),
        (float(shift[0]), float(shift[1])),
        degrees,
        correlation(fixed, grey(moved), known.astype(bool)),
        math.hypot(*offset(fixed, grey(moved))),
    )
    check(found, most_shift=most_shift, most_degrees=most_degrees, most_residual=most_residual)
    return found


def check(found: Registered, *, most_shift: float, most_degrees: float, most_residual: float) -> None:
    """ValueError for a pair that had to be moved too far, or still does not lie as one."""
    distance = math.hypot(*found.shift)
    if distance > most_shift or abs(found.degrees) > most_degrees:
        raise ValueError(
            f"the twin had to be moved by {distance:.1f} pixels and turned by {abs(found.degrees):.1f} degrees, and at most "
            f"{most_shift:g} and {most_degrees:g} are allowed: leave this pair out"
        )
    if found.correlation < LEAST_CORRELATION or found.residual > most_residual:
        raise ValueError(
            f"the twin and its picture still lie {found.residual:.2f} pixels apart with a correlation of {found.correlation:.2f}, "
            f"and {most_residual:g} pixels and {LEAST_CORRELATION:g} are asked for: leave this pair out"
        )


def grey(picture: np.ndarray) -> np.ndarray:
    """float32 [H, W] of a picture [H, W] or [H, W, C]."""
    found = picture.astype(np.float32)
    return found if found.ndim == 2 else found.mean(axis=2)


def offset(fixed: np.ndarray, moving: np.ndarray) -> tuple[float, float]:
    """(x, y) in pixels by which ``moving`` has to be shifted to lie on ``fixed``, both float [H, W].

    The borders are faded out, since the transform takes pictures to go on from the other side.
    """
    registration = needed("skimage.registration", "registering twins")
    fade = np.outer(np.hanning(fixed.shape[0]), np.hanning(fixed.shape[1]))
    faded = [(part - part.mean()) * fade for part in (fixed, moving)]
    (down, right), _, _ = registration.phase_cross_correlation(*faded, upsample_factor=SUBPIXELS, normalization=None)
    return float(right), float(down)


def correlation(first: np.ndarray, second: np.ndarray, known: np.ndarray) -> float:
    """Pearson's, of the ``known`` pixels; 0 where one of the pictures is flat."""
    a, b = (part[known] - part[known].mean() for part in (first, second))
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
