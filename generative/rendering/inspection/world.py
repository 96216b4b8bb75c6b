"""A whole image: a faultless board, the defects on it, and the photos of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from generative.rendering.inspection.address import Address
from generative.rendering.inspection.canvas import Canvas
from generative.rendering.inspection.classes import CLASSES, CLEAN, LARGEST, SMALLEST
from generative.rendering.inspection.defects import (
    ON_TOP,
    Instance,
    bare_board,
    drawn_as_structure,
    drawn_over,
    form_of,
    populated,
)
from generative.rendering.inspection.layout import scene_of
from generative.rendering.inspection.optics import misalignment, optics_of

LEAST_PIXELS = (
    12  # of a defect that shows, on images of 256 pixels a side and more; on smaller ones in proportion to the side
)
LEAST_SHOWN = 0.5  # share of a defect that others leave visible
LEAST_CHANGE = 4.0  # levels of 255, the mean over a defect's pixels: what nobody sees, nobody has labelled
MOST_ATTEMPTS = 60
SECOND = {"foreign material": 0.12, "scratch": 0.1, "other": 0.1, "component": 0.0}  # share of images with two


@dataclass(frozen=True)
class Rendered:
    """A photo and that of the faultless board, uint8 [S, S, 3]; the mask [S, S]: number of the class from 1, 0 elsewhere.

    ``before_optics``: what both are photos of, linear light [S, S, 3], the faultless board second.
    """

    image: np.ndarray
    twin: np.ndarray
    mask: np.ndarray
    instances: tuple[Instance, ...]
    parameters: dict
    quality: int
    before_optics: tuple[np.ndarray, np.ndarray]


def render(
    address: Address, size: int, *, contrast: Mapping[str, float] | None = None, misaligned: bool = False
) -> Rendered:
    """The image at ``address``, whose ``kind`` is one of ``CLASSES`` or ``clean``, at ``size`` pixels a side, 64 to 2048.

    ``contrast``: class -> factor of its visibility, 1 where none is given. ``misaligned``: the twin is moved by up to 3
    pixels, turned by up to half a degree, and up to 5 percent brighter or darker. ValueError for other sizes and kinds.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"images are rendered at {SMALLEST} to {LARGEST} pixels a side, got {size}")
    if address.kind not in (*CLASSES, CLEAN):
        raise ValueError(f"there is no class {address.kind!r}: choose one of {', '.join(CLASSES)} or {CLEAN}")
    scene = scene_of(address)
    board = bare_board(scene, size)
    clean = populated(board, scene)
    canvas = clean
    instances: list[Instance] = []
    if address.kind != CLEAN:
        canvas, instances = with_defects(address, board, clean, contrast=(contrast or {}).get(address.kind, 1.0))
    optics = optics_of(address, clean)
    moved, twin_optics = None, optics
    parameters: dict = {"product": scene.product.number}
    if misaligned:
        moved, gain, parameters["misaligned"] = misalignment(address.generator("misalignment"), size)
        twin_optics = replace(optics, gain=optics.gain * gain)
    mask = np.zeros((size, size), np.uint8)
    for instance in instances:
        mask[instance.visible] = CLASSES.index(instance.kind) + 1
    return Rendered(
        image=optics.photo(canvas, address.generator("noise")),
        twin=twin_optics.photo(clean, address.generator("noise of the twin"), moved=moved),
        mask=mask,
        instances=tuple(instances),
        parameters=parameters,
        quality=optics.quality,
        before_optics=(canvas.colour, clean.colour),
    )


def with_defects(address: Address, board: Canvas, clean: Canvas, *, contrast: float) -> tuple[Canvas, list[Instance]]:
    """The board with a defect, some with two; drawn again until all can be seen. ValueError where that fails."""
    for attempt in range(MOST_ATTEMPTS):
        random = address.generator(f"defect {attempt}")
        count = 1 + int(random.uniform() < SECOND.get(address.kind, 0.0))
        canvas, found = clean, []
        for _ in range(count):
            canvas, instance = one_defect(address, board, clean, canvas, random, contrast)
            found.append(instance)
        found = [hidden_by_later(found, k) for k in range(count)]
        if all(shows(instance, canvas, clean) for instance in found):
            return canvas, [replace(one, parameters={**one.parameters, "attempt": attempt}) for one in found]
    raise ValueError(
        f"no {address.kind} of image {address.number} can be seen at {clean.size} pixels in {MOST_ATTEMPTS} tries: give a higher "
        f"contrast than {contrast:g} or a higher resolution"
    )


def one_defect(
    address: Address, board: Canvas, clean: Canvas, canvas: Canvas, random: np.random.Generator, contrast: float
) -> tuple[Canvas, Instance]:
    """The canvas with one defect more."""
    scene, form = scene_of(address), form_of(address.kind, random)
    if form in ON_TOP or canvas is not clean:  # a second one lies on top
        form = form if form in ON_TOP else "stain"
        return drawn_over(form, canvas, scene, random, contrast=contrast)
    return drawn_as_structure(form, board, clean, scene, random, contrast=contrast)


def hidden_by_later(found: list[Instance], number: int) -> Instance:
    """The instance without the pixels that later ones cover; their own mask is kept whole."""
    later = np.zeros_like(found[number].visible)
    for other in found[number + 1 :]:
        later |= other.visible
    return replace(found[number], visible=found[number].visible & ~later, body=found[number].visible)


def shows(instance: Instance, canvas: Canvas, clean: Canvas) -> bool:
    """Whether a person could have labelled it."""
    visible = instance.visible
    least = max(2.0, LEAST_PIXELS * min(1.0, clean.size / 256))
    if visible.sum() < max(least, LEAST_SHOWN * instance.body.sum()):
        return False
    coded = [np.clip(one.colour[visible], 0, 1) ** (1 / 2.2) for one in (canvas, clean)]
    return float(np.abs(coded[0] - coded[1]).mean()) * 255 >= LEAST_CHANGE


def encoded(picture: np.ndarray, quality: int) -> bytes:
    """A photo uint8 [S, S, 3] in RGB as JPEG."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return content.tobytes()
