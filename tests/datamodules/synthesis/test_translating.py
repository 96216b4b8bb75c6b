"""Drawn pictures through a network: what reaches the picture, where its boxes come from, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import ndimage

from datamodules.synthesis import translating
from datamodules.synthesis.painting import Instance, Scene
from datamodules.synthesis.translating import DRAWN, FAULTLESS, HOLE, Translation, fading, mask_in, window_of
from generative.rendering.defects.binary import NUM_LEVELS, Levels
from generative.rendering.defects.boxes import Convention
from generative.rendering.template_difference import DifferenceSetting

SIDE = 32
MARGINS = Convention((3.0, 3.0, 3.0, 3.0), (0.0,) * 4, (9.0,) * 4)
Paint = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


class Painting:
    """A network whose windows are those that it was given, each after ``paint(window, mask, number)``."""

    side = SIDE

    def __init__(self, given: str, paint: Paint) -> None:
        self.given, self.paint = given, paint

    def __call__(self, windows: np.ndarray, masks: np.ndarray, names: Sequence[str], *, first: int) -> np.ndarray:
        assert windows.shape[1:3] == masks.shape[1:] == (SIDE, SIDE)
        assert len(names) == len(windows)
        painted = [
            self.paint(window, mask, first + n) for n, (window, mask) in enumerate(zip(windows, masks, strict=True))
        ]
        return np.stack(painted)


def scene(shape: tuple[int, ...] = (96, 128)) -> Scene:
    """A dark picture with noise, so that a pixel that moved would show."""
    return Scene(np.random.default_rng(0).integers(0, 16, shape).astype(np.uint8))


def instance(top: int, left: int, *, height: int = 6, width: int = 8, name: str = "dent") -> Instance:
    mask = np.ones((height, width), dtype=bool)
    place = (slice(top, top + height), slice(left, left + width))
    return Instance(name, place, mask, (float(left), float(top), float(left + width), float(top + height)), {})


def square(window: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
    """A bright rectangle of 5 x 7 pixels, below and right of the middle."""
    painted = window.copy()
    painted[18:23, 17:24] = 255
    return painted


@pytest.mark.parametrize("shape", [(96, 128), (96, 128, 3)])
@pytest.mark.parametrize("given", [DRAWN, HOLE])
def test_what_a_network_leaves_stays_to_the_bit(given: str, shape: tuple[int, ...]) -> None:
    drawn = scene(shape)
    instances = [instance(40, 30), instance(70, 90), instance(2, 118)]
    for one in instances:
        drawn.picture[one.place] = 200

    def fill(window: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
        painted = window.copy()
        painted[mask] = 77
        return painted

    found = Translation(Painting(given, fill), MARGINS)(drawn, instances, first=0)
    expected = drawn.picture.copy() if given == DRAWN else drawn.clean.copy()
    for one in instances[:2]:
        expected[one.place] = 77
    beside = np.ones(shape[:2], dtype=bool)
    beside[instances[2].place] = False  # at the rim of its window, where a translation fades
    assert (found.picture == expected)[beside].all()
    assert (found.picture != expected)[~beside].any()
    assert found.instances == instances
    assert not found.refused
    untouched = Translation(Painting(given, lambda window, *_: window), MARGINS)(drawn, instances, first=0)
    assert (untouched.picture == (drawn.picture if given == DRAWN else drawn.clean)).all()


def test_a_defect_that_a_network_made_up_gets_the_box_of_what_differs() -> None:
    drawn = scene()
    found = Translation(Painting(FAULTLESS, square), MARGINS)(drawn, [instance(40, 30)], first=0)
    (one,) = found.instances
    top, left = 43 - 16 + 18, 34 - 16 + 17  # of the square, in a window around the middle of the drawn one
    assert one.box == (left - 3.0, top - 3.0, left + 7 + 3.0, top + 5 + 3.0)
    whole = np.zeros(drawn.clean.shape, dtype=bool)
    whole[one.place] = one.mask
    expected = np.zeros_like(whole)
    expected[top : top + 5, left : left + 7] = True
    assert (whole == expected).all()
    assert ((found.picture != drawn.clean) == expected).all()


def test_a_defect_of_any_class_is_named_or_left_out() -> None:
    seen: list[np.ndarray] = []

    def naming(windows: np.ndarray) -> list[str | None]:
        seen.append(windows)
        return ["crack", None]

    drawn = scene()
    translation = Translation(Painting(FAULTLESS, square), MARGINS, naming=naming)
    found = translation(drawn, [instance(40, 30), instance(40, 90)], first=0)
    assert [one.name for one in found.instances] == ["crack"]
    assert found.instances[0].parameters == {"class": "crack"}
    assert found.refused == ["dent"]
    assert (found.picture[:, 64:] == drawn.clean[:, 64:]).all()
    assert seen[0].shape == (2, SIDE, SIDE)
    assert (seen[0][:, 18:23, 17:24] == 255).all(), "it sees what was drawn"


@pytest.mark.parametrize("change", ["nothing", "everything", "too little"])
def test_what_shows_no_defect_is_left_out(change: str) -> None:
    def paint(window: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
        if number == 8:  # the second of the two
            return square(window, mask, number)
        painted = window.copy()
        if change == "everything":
            painted = 255 - painted
        elif change == "too little":
            painted[16, 16] ^= 255
        return painted

    drawn = scene()
    instances = [instance(40, 30), instance(40, 90, name="crack")]
    found = Translation(Painting(FAULTLESS, paint), MARGINS)(drawn, instances, first=7)
    assert [one.name for one in found.instances] == ["crack"]
    assert found.refused == ["dent"]
    assert (found.picture[:, :64] == drawn.clean[:, :64]).all()


def test_two_near_defects_share_the_pixels_between_them() -> None:
    drawn = scene()
    instances = [instance(40, 40), instance(40, 56)]  # windows overlap by half
    tones = {0: 11, 1: 222}
    network = Painting(FAULTLESS, lambda window, mask, number: np.full_like(window, tones[number]))
    everything = DifferenceSetting(levels=0, deviations=0, opening=1, least_area=0, tolerance=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translating, "MOST_CHANGED", 1.0)
        picture = Translation(network, MARGINS, setting=everything)(drawn, instances, first=0).picture
    middle = picture[44]
    assert (middle[44:52] == 11).all()
    assert (middle[52:60] == 222).all()
    share = fading(SIDE)
    assert share.max() == 1
    assert (share == share.T).all()
    assert share[0, 16] == 0.125  # half a pixel of four


def test_what_is_far_from_a_known_mask_stays() -> None:
    drawn = scene()
    one = instance(40, 40)
    network = Painting(DRAWN, lambda window, mask, number: np.full_like(window, 255))
    picture = Translation(network, MARGINS)(drawn, [one], first=0).picture
    distance = ndimage.distance_transform_edt(~np.isin(np.arange(96 * 128).reshape(96, 128), pixels_of_mask(one)))
    assert (picture[distance <= 4] == 255).all()
    assert (picture[distance >= 8] == drawn.picture[distance >= 8]).all()
    between = (distance > 4.5) & (distance < 7.5)
    assert ((picture > drawn.picture) & (picture < 255))[between].all()


def pixels_of_mask(one: Instance) -> np.ndarray:
    rows, columns = np.nonzero(one.mask)
    return (rows + one.place[0].start) * 128 + columns + one.place[1].start


@pytest.mark.parametrize("given", [DRAWN, HOLE, FAULTLESS])
def test_a_board_of_two_levels_stays_one(given: str) -> None:
    ranges = [(0.0, 40.0), (210.0, 255.0), (0.0, 4.0), (251.0, 255.0)]
    levels = Levels(128.0, *(tuple(np.linspace(low, high, NUM_LEVELS)) for low, high in ranges))
    drawn = Scene(np.full((96, 128), 254, dtype=np.uint8))
    one = instance(40, 40, height=12, width=14)

    def grey(window: np.ndarray, mask: np.ndarray, number: int) -> np.ndarray:
        painted = np.full_like(window, 180)  # on the bright side of the threshold
        painted[12:22, 12:24] = 90  # on the dark one
        return painted

    everything = DifferenceSetting(tolerance=0, least_area=1)
    found = Translation(Painting(given, grey), MARGINS, setting=everything, levels=levels)(drawn, [one], first=0)
    dark = found.picture < 128
    assert dark.sum() == 120
    assert set(np.unique(found.picture[dark]).tolist()) <= set(range(41))
    assert (found.picture[~dark] == 254).all(), "what stays bright stays as it was"
    assert len(found.instances) == 1
    again = Translation(Painting(given, grey), MARGINS, setting=everything, levels=levels, seed=1)(
        drawn, [one], first=0
    )
    assert ((again.picture < 128) == dark).all()
    assert (again.picture != found.picture).any()


def test_a_known_mask_that_shows_nothing_has_no_box() -> None:
    network = Painting(HOLE, lambda window, mask, number: window if number == 3 else np.full_like(window, 255))
    instances = [instance(40, 30), instance(40, 90, name="pit")]
    found = Translation(network, MARGINS)(scene(), instances, first=3)
    assert [one.name for one in found.instances] == ["pit"]
    assert found.refused == ["dent"]


def test_windows_lie_on_the_picture() -> None:
    one = instance(90, 124, height=6, width=4)
    place = window_of(one, SIDE, (96, 128))
    assert place == (slice(64, 96), slice(96, 128))
    mask = mask_in(one, place)
    assert mask.sum() == 24
    assert mask[26:, 28:].all()
    with pytest.raises(ValueError, match="windows of 32 pixels, and a picture has 128 x 20"):
        window_of(one, SIDE, (20, 128))
    empty = Translation(Painting(FAULTLESS, square), MARGINS)(scene(), [], first=0)
    assert (empty.picture == scene().clean).all()
