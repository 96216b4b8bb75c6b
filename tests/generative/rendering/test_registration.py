"""Twins that were moved and turned, by the truth that the rendered world states, and pairs that are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from generative.rendering.inspection.address import Address
from generative.rendering.inspection.world import render
from generative.rendering.registration import grey, offset, register

SIZE = 192


def motion(shift: tuple[float, float] | list[float], degrees: float) -> np.ndarray:
    """[2, 3]: a turn about the middle, then a shift."""
    found = cv2.getRotationMatrix2D(((SIZE - 1) / 2, (SIZE - 1) / 2), degrees, 1.0)
    found[:, 2] += shift
    return found


def farthest(first: np.ndarray, second: np.ndarray) -> float:
    """Pixels between where two motions take the corners of a picture, at most."""
    corners = np.array([[0, 0, 1], [SIZE - 1, 0, 1], [0, SIZE - 1, 1], [SIZE - 1, SIZE - 1, 1]]).T
    return float(np.linalg.norm((first - second) @ corners, axis=0).max())


@pytest.mark.parametrize(("kind", "number"), [("scratch", 0), ("excess epoxy", 1), ("component", 2)])
def test_misaligned_twins_are_restored(kind: str, number: int) -> None:
    made = render(Address(0, "train", kind, number), SIZE, misaligned=True)
    truth = made.parameters["misaligned"]
    assert farthest(motion(truth["shift"], truth["degrees"]), motion([0, 0], 0)) > 1, "there is something to restore"
    found = register(made.image, made.twin)
    assert farthest(motion(found.shift, found.degrees), motion(truth["shift"], truth["degrees"])) < 0.3
    assert found.residual <= 0.3
    assert found.correlation > 0.9
    # The moved twin is nearer to the picture than the given one, beside what the camera's light changes.
    away = (made.mask == 0) & found.known
    before, after = (
        np.abs(twin.astype(float).mean(axis=2) - made.image.astype(float).mean(axis=2))[away].mean()
        for twin in (made.twin, found.twin)
    )
    assert after < 0.7 * before
    assert found.known.mean() > 0.9


@pytest.fixture(scope="module")
def board() -> np.ndarray:
    return render(Address(0, "train", "clean", 0), SIZE).image


def moved(picture: np.ndarray, shift: list[float], degrees: float) -> np.ndarray:
    return cv2.warpAffine(picture, motion(shift, degrees), (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)


def test_the_twin_is_moved_back_in_grey_too(board: np.ndarray) -> None:
    pixels = board.mean(axis=2).astype(np.uint8)
    found = register(pixels, moved(pixels, [-2.5, 1.25], 0.4))
    back = cv2.invertAffineTransform(motion([-2.5, 1.25], 0.4))
    assert farthest(motion(found.shift, found.degrees), back) < 0.3
    assert found.twin.shape == pixels.shape
    same = register(pixels, pixels)
    assert farthest(motion(same.shift, same.degrees), motion([0, 0], 0)) < 0.02


@pytest.mark.parametrize(
    ("shift", "degrees", "message"),
    [
        ([14.0, 3.0], 0.0, r"the twin lies 1\d\.\d pixels from its picture, more than 8: take both from one place"),
        (
            [0.0, 0.0],
            4.0,
            r"the twin had to be moved by .* turned by [34]\.\d degrees, and at most 8 and 2 are allowed",
        ),
    ],
)
def test_those_that_lie_too_far_off_are_refused(
    board: np.ndarray, shift: list[float], degrees: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        register(board, moved(board, shift, degrees))


def test_another_board_is_refused(board: np.ndarray) -> None:
    other = render(Address(0, "train", "crack", 1), SIZE).twin
    with pytest.raises(ValueError, match="leave this pair out"):
        register(board, other)
    with pytest.raises(ValueError, match="a picture of 192 x 192 pixels and a twin of 100 x 192 make no pair"):
        register(board, board[:, :100])


def test_phase_correlation_alone_finds_the_shift(board: np.ndarray) -> None:
    """Rightwards and downwards, in this order: what turns are looked for from."""
    fixed = grey(board)
    found = offset(fixed, grey(moved(board, [3.0, -1.5], 0.0)))
    assert found == pytest.approx((-3.0, 1.5), abs=0.15)
