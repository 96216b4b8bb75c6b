"""The nine classes of defects: each drawn on a faultless board, or drawn as a board whose parts, epoxy or die are not right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from generative.rendering.inspection.board import draw_board
from generative.rendering.inspection.canvas import Canvas
from generative.rendering.inspection.die import draw_die
from generative.rendering.inspection.epoxy import FARTHEST, changed_epoxy, draw_epoxy, with_bumps
from generative.rendering.inspection.foreign import foreign_material
from generative.rendering.inspection.layout import Pose, Scene
from generative.rendering.inspection.parts import draw_parts, misplaced, part_body
from generative.rendering.inspection.spills import RARE, epoxy_on_die, other
from generative.rendering.inspection.strokes import crack, scratch


@dataclass(frozen=True)
class Instance:
    """A defect on an image, bool [S, S] before optics.

    ``visible``: the pixels that show it, ``body``: those too where another one lies on it, ``whole``: all that it changes,
    its shadow too.
    """

    kind: str
    visible: np.ndarray
    body: np.ndarray
    whole: np.ndarray
    parameters: dict


ON_TOP = ("foreign material", "crack", "epoxy on die", "scratch", *(kind for kind in RARE if kind != "bent part"))


def form_of(kind: str, random: np.random.Generator) -> str:
    """What is drawn for a class: itself, and of ``other`` one of ``RARE``, the k-th with weight 1 / k."""
    weights = 1 / np.arange(1, len(RARE) + 1)
    return str(random.choice(RARE, p=weights / weights.sum())) if kind == "other" else kind


def bare_board(scene: Scene, size: int) -> Canvas:
    """The board without anything that stands on it."""
    canvas = Canvas(size, angle=scene.turn, shift=scene.shift, light=scene.light)
    draw_board(canvas, scene)
    return canvas


def populated(board: Canvas, scene: Scene) -> Canvas:
    """A copy of the bare board with its parts, the epoxy and the die."""
    canvas = board.copy()
    draw_parts(canvas, scene)
    draw_epoxy(canvas, scene)
    draw_die(canvas, scene)
    return canvas


def drawn_over(
    kind: str, canvas: Canvas, scene: Scene, random: np.random.Generator, *, contrast: float
) -> tuple[Canvas, Instance]:
    """The canvas with a defect on top; ``contrast`` scales the change of light that it makes."""
    painters: dict[str, Callable[[Canvas], tuple[np.ndarray, dict]]] = {
        "foreign material": lambda on: foreign_material(on, random),
        "crack": lambda on: crack(on, scene, random),
        "scratch": lambda on: scratch(on, scene, random),
        "epoxy on die": lambda on: epoxy_on_die(on, scene, random),
    }
    changed = canvas.copy()
    if kind in RARE:
        body, parameters = other(changed, scene, random, kind=kind)
        kind = "other"
    else:
        body, parameters = painters[kind](changed)
    changed.colour = np.maximum(canvas.colour + np.float32(contrast) * (changed.colour - canvas.colour), 0)
    whole = np.any(changed.colour != canvas.colour, axis=2)
    return changed, Instance(kind, body & whole, body & whole, whole, parameters)


def of_structure(kind: str, scene: Scene, random: np.random.Generator, *, contrast: float) -> tuple[Scene, dict]:
    """The scene with what is not right; ``contrast`` scales how far beyond its tolerance it is."""
    if kind == "missing die":
        return replace(scene, die_state="missing"), {"epoxy": bool(scene.product.number % 2)}
    if kind in ("excess epoxy", "missing epoxy"):
        return with_bumps(scene, random, excess=kind == "excess epoxy", amount=contrast)
    if kind == "component":
        number, pose = misplaced(scene, random, contrast)
    else:
        number = int(random.integers(len(scene.product.sites)))
        bend = float(random.choice([-1, 1]) * random.uniform(0.35, 0.8)) * contrast
        pose = replace(scene.poses[number], state="bent", amount=bend)
    poses = (*scene.poses[:number], pose, *scene.poses[number + 1 :])
    return replace(scene, poses=poses), {"site": number, **as_parameters(pose)}


def as_parameters(pose: Pose) -> dict:
    return {"state": pose.state, "move": list(pose.move), "turn": pose.turn, "amount": pose.amount}


def drawn_as_structure(
    kind: str, board: Canvas, clean: Canvas, scene: Scene, random: np.random.Generator, *, contrast: float
) -> tuple[Canvas, Instance]:
    """The board populated anew from the scene that is not right."""
    after, parameters = of_structure(kind, scene, random, contrast=contrast)
    changed = populated(board, after)
    whole = np.any(changed.colour != clean.colour, axis=2)
    if kind == "missing die":
        body = np.zeros_like(whole)
        window = clean.window(scene.die.points(grown=FARTHEST))
        u, v = clean.grid(window, centre=scene.die.centre, angle=scene.die.angle)
        body[window.place] = (np.abs(u) < scene.die.half[0]) & (np.abs(v) < scene.die.half[1])
    elif "epoxy" in kind:
        body = changed_epoxy(clean, scene, after)
    else:
        number = parameters["site"]
        body = part_body(clean, scene.product.sites[number], after.poses[number])
        whole |= body & np.any(whole)  # pads that look as before belong to it
    kind = "other" if kind == "bent part" else kind
    return changed, Instance(kind, body & whole, body & whole, whole, parameters)
