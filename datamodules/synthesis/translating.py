"""Drawn pictures through a network that learned from real defects: the last step of `python -m datamodules.synthesize draw`.

Each defect has a window of the network's size around it. A network is given the window as it was drawn, the faultless one with
the defect's mask, or the faultless one alone. What comes back fades into the picture towards the rim of the window, and two
defects that lie near share the pixels between them. Where the mask is known, what lies farther from it than some pixels stays:
it is a real picture already. Where it is not, the defect is looked for: what differs from the faultless picture gets a box by
the convention of the recipe, and a defect that does not show is left out. Of boards of two levels a translation says which pixels
are dark and which are bright, no more: networks draw grey rims, by which anything can tell them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from scipy import ndimage

from datamodules.synthesis.painting import Instance, Scene
from datamodules.synthesis.recipe import Recipe
from generative.rendering.defects.binary import Levels
from generative.rendering.defects.boxes import Convention, tight
from generative.rendering.defects.draws import generator
from generative.rendering.template_difference import EIGHT, DifferenceSetting, changes, exceeds, opened

DRAWN, HOLE, FAULTLESS = "drawn", "hole", "faultless"
# Both chosen on training images by python -m docs.ledger.template_differences: of DeepPCB, and of the rendered set
FOUND_ON_BOARDS = DifferenceSetting(blur=1.5, tolerance=2, deviations=8, levels=96, opening=3, least_area=8, reach=4)
FOUND_ON_PHOTOS = DifferenceSetting(blur=1.5, tolerance=0, deviations=13, levels=8, opening=1, least_area=8, reach=16)
MOST_CHANGED = 0.4  # of a window: more is no defect but another picture
NEAR, FAR = 4.0, 8.0  # pixels from a known mask, up to which a translation is taken, and from which on none of it
FADE = 8  # parts of a window's side: how wide its rim is, over which a translation fades


class Network(Protocol):
    """What :class:`Translation` asks of a network. ``given``: DRAWN, HOLE or FAULTLESS; ``side``: of its windows, in pixels."""

    given: str
    side: int

    def __call__(self, windows: np.ndarray, masks: np.ndarray, names: Sequence[str], *, first: int) -> np.ndarray:
        """Windows uint8 [N, S, S] or [N, S, S, C], number ``first ..`` of the set, with bool masks [N, S, S] -> theirs."""


Naming = Callable[
    [np.ndarray], Sequence[str | None]
]  # windows of bytes -> the class of each, None where it is not sure


@dataclass(frozen=True)
class Translated:
    """A picture of bytes, its defects, and the classes of those that do not show."""

    picture: np.ndarray
    instances: list[Instance]
    refused: list[str]


@dataclass(frozen=True)
class Translation:
    """What a network makes of a drawn picture. ``boxes``: the convention that found defects get theirs by.

    ``naming``: what tells the class of a defect that was looked for, of a network that was not told one; a defect that it
    is not sure of is left out. ``levels``: those of boards of two; ``seed``: of the noise on them. ``facts`` tell it from
    another one: a folder that was begun with one goes on with the same.
    """

    network: Network
    boxes: Convention
    facts: Mapping[str, str] = field(default_factory=dict)
    setting: DifferenceSetting = FOUND_ON_BOARDS
    naming: Naming | None = None
    levels: Levels | None = None
    seed: int = 0

    def __call__(self, scene: Scene, instances: Sequence[Instance], *, first: int) -> Translated:
        """``first``: the number of the first defect in its set, which says what is random of it."""
        ground = scene.picture if self.network.given == DRAWN else scene.clean
        if not instances:
            return Translated(ground.copy(), [], [])
        side = self.network.side
        places = [window_of(instance, side, scene.clean.shape) for instance in instances]
        masks = np.stack([mask_in(instance, place) for instance, place in zip(instances, places, strict=True)])
        windows = np.stack([ground[place] for place in places])
        drawn = self.network(windows, masks, [instance.name for instance in instances], first=first)
        owners = nearest_window(places, scene.clean.shape)
        picture = ground.copy()
        for number, (place, window) in enumerate(zip(places, drawn, strict=True)):
            share = fading(side) * (owners[place] == number)
            if self.network.given != FAULTLESS:
                share *= around(masks[number])
            picture[place] = faded(picture[place], window, share)
        if self.levels is not None:
            uniform = generator(self.seed, "levels of a translation", first).random(picture.shape[:2])
            picture = self.levels.kept(picture, ground, uniform)
        translated = Translated(picture, list(instances), [])
        if self.network.given != FAULTLESS:
            return with_shown(translated, scene.clean)
        return self.with_found(translated, scene.clean, places, owners)

    def with_found(
        self, drawn: Translated, clean: np.ndarray, places: Sequence[tuple[slice, slice]], owners: np.ndarray
    ) -> Translated:
        """The defects with the masks and boxes of what differs; without one the faultless pixels come back."""
        picture, kept, refused = drawn.picture, [], []
        names: Sequence[str | None] = [instance.name for instance in drawn.instances]
        if self.naming is not None:
            names = self.naming(np.stack([picture[place] for place in places]))
        for number, (instance, name, place) in enumerate(zip(drawn.instances, names, places, strict=True)):
            own = owners[place] == number
            mask = changed(picture[place], clean[place], self.setting) & own
            if name is None or not mask.any() or mask.sum() > MOST_CHANGED * mask.size:
                picture[place] = np.where(like(own, clean[place]), clean[place], picture[place])
                refused.append(instance.name)
                continue
            offset = (place[0].start, place[1].start)
            box = self.boxes.box(mask, offset=offset, shape=clean.shape)
            facts = {**instance.parameters, "class": name}
            kept.append(replace(instance, name=name, place=place, mask=mask, box=box, parameters=facts))
        return Translated(picture, kept, refused)


def with_shown(drawn: Translated, clean: np.ndarray) -> Translated:
    """The defects that differ from the faultless picture anywhere on their masks."""
    differs = (drawn.picture != clean).reshape(*clean.shape[:2], -1).any(axis=2)
    shown = [(instance, (differs[instance.place] & instance.mask).any()) for instance in drawn.instances]
    return Translated(
        drawn.picture, [instance for instance, shows in shown if shows], [one.name for one, shows in shown if not shows]
    )


def setting_for(recipe: Recipe) -> DifferenceSetting:
    """How defects are looked for in what the pictures of ``recipe`` become."""
    return FOUND_ON_BOARDS if recipe.levels is not None else FOUND_ON_PHOTOS


def window_of(instance: Instance, side: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The window of ``side`` pixels around a defect, moved to lie on the picture; ValueError where this is smaller."""
    if side > min(shape[:2]):
        raise ValueError(
            f"the checkpoint translates windows of {side} pixels, and a picture has {shape[1]} x {shape[0]}: give larger pictures"
        )
    left, top, right, bottom = tight(instance.mask, offset=(instance.place[0].start, instance.place[1].start))
    firsts = (round((top + bottom - side) / 2), round((left + right - side) / 2))
    starts = [min(max(first, 0), length - side) for first, length in zip(firsts, shape[:2], strict=True)]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def mask_in(instance: Instance, place: tuple[slice, slice]) -> np.ndarray:
    """A defect's mask as a window [S, S] shows it."""
    rows, columns = (
        np.arange(window.start, window.stop) - own.start for window, own in zip(place, instance.place, strict=True)
    )
    inside = [(at >= 0) & (at < side) for at, side in zip((rows, columns), instance.mask.shape, strict=True)]
    found = np.zeros((len(rows), len(columns)), dtype=bool)
    found[np.ix_(*inside)] = instance.mask[np.ix_(rows[inside[0]], columns[inside[1]])]
    return found


def nearest_window(places: Sequence[tuple[slice, slice]], shape: tuple[int, ...]) -> np.ndarray:
    """The number of the window whose middle is nearest to each pixel: int [H, W]."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    nearest = np.full(shape[:2], np.inf)
    found = np.zeros(shape[:2], dtype=np.int64)
    for number, (rows, columns) in enumerate(places):
        distance = (y - (rows.start + rows.stop - 1) / 2) ** 2 + (x - (columns.start + columns.stop - 1) / 2) ** 2
        found[distance < nearest] = number
        nearest = np.minimum(nearest, distance)
    return found


def fading(side: int) -> np.ndarray:
    """The share of a translation in its window [S, S]: 1 within, falling to the rim over an eighth of the side."""
    width = max(1, side // FADE)
    ramp = np.minimum(np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5, width) / width
    shares: np.ndarray = np.minimum.outer(ramp, ramp)
    return shares


def around(mask: np.ndarray) -> np.ndarray:
    """1 on a mask [S, S] and up to NEAR pixels from it, falling to 0 at FAR."""
    distance = ndimage.distance_transform_edt(~mask)
    share: np.ndarray = np.clip((FAR - distance) / (FAR - NEAR), 0.0, 1.0)
    return share


def faded(ground: np.ndarray, window: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Bytes of ``window`` by their ``share`` [S, S] over those of ``ground``, unchanged where both agree or the share is 0."""
    difference = window.astype(np.float64) - ground
    return np.rint(ground + difference * like(share, ground)).clip(0, 255).astype(np.uint8)


def like(values: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Values [S, S] beside a picture [S, S] or [S, S, C]."""
    return values if picture.ndim == 2 else values[..., None]


def changed(picture: np.ndarray, clean: np.ndarray, setting: DifferenceSetting) -> np.ndarray:
    """What differs between two pictures of bytes, bool [H, W]: pieces of some area, the largest and those near to it."""
    change, deviation = changes(picture, clean, blur=setting.blur, tolerance=setting.tolerance)
    mask = opened(exceeds(change, deviation, deviations=setting.deviations, levels=setting.levels), setting.opening)
    labels, count = ndimage.label(mask, structure=EIGHT)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    areas[0] = 0
    kept = (areas >= setting.least_area)[labels]
    if not kept.any():
        return kept
    joined, _ = ndimage.label(ndimage.maximum_filter(kept, 2 * setting.reach + 1), structure=EIGHT)
    found: np.ndarray = kept & (joined == joined[labels == areas.argmax()][0])
    return found
