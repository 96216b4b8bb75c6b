"""New defects on a faultless picture, each by the recipe of its class."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from datamodules.synthesis.recipe import PRIMITIVES, Learned, Recipe, plain
from generative.rendering.defects import curves, placement, polygons, primitives
from generative.rendering.defects.backends import Light, Rendering, lifted, renderer
from generative.rendering.defects.blending import blend, blur_of, noise_of, softened, with_noise
from generative.rendering.defects.boxes import Box
from generative.rendering.defects.curves import Curve
from generative.rendering.defects.draws import generator, varied
from generative.rendering.defects.materials import from_data
from generative.rendering.defects.placement import Surroundings

NUM_TRIES = 8  # of an instance, each with other numbers
NUM_EXAMPLES = 4  # that are tried on a picture
LEAST_AREA = 12  # pixels of a mask
LEAST_INSIDE = 0.6  # of a defect that must lie on the picture
MEASURED = 256  # pixels a side of the part whose blur and noise are measured
PAD = 6
SHAPES = ("matched", "random")
RANDOM_AREA = (30.0, 600.0)  # pixels, of primitives that are matched to nothing


@dataclass(frozen=True)
class Style:
    """How defects are set in. ``alpha`` and ``whole_tile``: eq. 3.1; ``shapes`` and ``place``: matched to the real ones or not."""

    renderer: str = "numpy"
    alpha: float = 1.0
    whole_tile: bool = False
    shapes: str = "matched"
    place: str | None = None  # None: as the recipe says

    def __post_init__(self) -> None:
        renderer_of = renderer  # its ValueError names the choices
        renderer_of(self.renderer)
        if not 0.0 < self.alpha <= 1.0:
            raise ValueError(f"--alpha must be above 0 and at most 1, got {self.alpha}")
        if self.shapes not in SHAPES:
            raise ValueError(f"--shapes {self.shapes!r}: choose one of {', '.join(SHAPES)}")


@dataclass(frozen=True)
class Instance:
    """A defect that was drawn: its mask bool [h, w] at ``place`` of the picture, its box, and what it was drawn by."""

    name: str
    place: tuple[slice, slice]
    mask: np.ndarray
    box: Box
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """An example of a class, and where and how to draw one like it."""

    row: dict[str, Any]
    place: placement.Place
    mirrored: bool


Made = tuple[Rendering, tuple[int, int], dict[str, Any]]


@dataclass
class Scene:
    """A picture [H, W] or [H, W, 3] of bytes that defects are drawn on, one after the other; ``clean`` stays as it was."""

    clean: np.ndarray
    picture: np.ndarray = field(init=False)
    taken: np.ndarray = field(init=False)
    blur: float = field(init=False)
    noise: float = field(init=False)
    board: primitives.Board | None = None

    def __post_init__(self) -> None:
        self.picture = self.clean.copy()
        self.taken = np.zeros(self.clean.shape[:2], dtype=bool)
        top, left = (max(0, (side - MEASURED) // 2) for side in self.clean.shape[:2])
        part = self.clean[top : top + MEASURED, left : left + MEASURED]
        self.blur, self.noise = (0.5, 0.0) if self.board is not None else (blur_of(part), noise_of(part))


class Painter:
    """Draws the classes of a recipe. ``cutouts``: the folder of the pictures that belong to it."""

    def __init__(self, recipe: Recipe, cutouts: Path, style: Style, *, seed: int) -> None:
        self.recipe, self.style, self.seed = recipe, style, seed
        self.cutouts = {
            row["cutout"]: read_cutout(cutouts / row["cutout"])
            for learned in recipe.classes.values() for row in learned.examples if "cutout" in row
        }  # fmt: skip

    def scene(self, clean: np.ndarray) -> Scene:
        levels = self.recipe.levels
        flat = clean if clean.ndim == 2 else clean.mean(axis=2)
        return Scene(clean, board=None if levels is None else primitives.Board(levels.copper(flat)))

    def draw(self, scene: Scene, name: str, *, number: int, place: int) -> Instance | None:
        """Defect ``place`` of picture ``number``, of the class ``name``; None where the picture has no room for one."""
        learned = self.recipe.classes[name]
        paint = self.primitive if learned.family in PRIMITIVES else self.rendered
        for attempt in range(NUM_TRIES):
            random = generator(self.seed, f"defect {place} of {name}", number, attempt)
            found = paint(scene, name, learned, random)
            if found is not None:
                where, mask, parameters = found
                offset = (where[0].start, where[1].start)
                box = self.recipe.boxes.box(mask, offset=offset, shape=scene.clean.shape)
                take(scene, box, where)
                facts = {
                    "class": name,
                    "family": learned.family,
                    "seed": self.seed,
                    "image": number,
                    "attempt": attempt,
                }
                return Instance(name, where, mask, box, {**facts, **plain(parameters)})
        return None

    def primitive(
        self, scene: Scene, name: str, learned: Learned, random: np.random.Generator
    ) -> tuple[tuple[slice, slice], np.ndarray, dict[str, Any]] | None:
        """A bridge, bump or island on a board of two levels: every pixel of its mask changes, and no other."""
        assert scene.board is not None
        assert self.recipe.levels is not None
        fields = primitives.Size.__dataclass_fields__
        sizes = [primitives.Size(**{key: row[key] for key in fields}) for row in learned.examples]
        if self.style.shapes == "random":
            sizes = [random_size(random) for _ in sizes]
        dark = learned.adds == "dark"
        drawn = primitives.draw(scene.board, sizes, random, primitive=learned.family, adds_copper=dark)
        if drawn is None:
            return None
        uniform = random.random(drawn.mask.shape)
        values = self.recipe.levels.drawn(drawn.mask, uniform, dark=dark)
        part = scene.picture[drawn.place]
        part[drawn.mask] = values[drawn.mask] if part.ndim == 2 else values[drawn.mask][:, None]
        facts = {"material": f"{learned.adds} level", "alpha": 1.0, "ragged": drawn.kind.ragged, "score": drawn.score}
        return drawn.place, drawn.mask, {**drawn.parameters, **facts}

    def rendered(
        self, scene: Scene, name: str, learned: Learned, random: np.random.Generator
    ) -> tuple[tuple[slice, slice], np.ndarray, dict[str, Any]] | None:
        """A fibre or a blot, blended onto the picture."""
        chosen = self.find(scene, learned, random)
        if chosen is None:
            return None
        make = self.fibre if "points" in chosen.row else self.blot
        made = make(scene, learned, chosen, random)
        if made is None:
            return None
        rendering, (left, top), parameters = made
        cut = on_picture(rendering, (top, left), scene.clean.shape)
        if cut is None:
            return None
        rendering, where = cut
        mask = rendering.mask
        if mask.sum() < LEAST_AREA or (scene.taken[where] & mask).any():
            return None
        background = np.atleast_3d(scene.picture[where]) / 255.0
        through = parameters["material"].get("translucency", 0.0)
        drawn = blend(background, rendering, alpha=self.style.alpha, whole_tile=self.style.whole_tile, through=through)
        if learned.family == "curve":  # a blot's pixels are real ones, and have their noise
            weight = rendering.coverage * (1.0 - through) * self.style.alpha
            drawn = with_noise(drawn, weight, random, noise=scene.noise / 255.0)
        values = np.rint(255 * drawn).clip(0, 255).astype(np.uint8)
        touched = (rendering.coverage > 0) | (rendering.shadow > 0) | self.style.whole_tile
        part = scene.picture[where]
        part[touched] = values[touched] if part.ndim == 3 else values[..., 0][touched]
        place = chosen.place
        facts = {"alpha": self.style.alpha, "turn": place.turn, "mirrored": chosen.mirrored, "score": place.score}
        facts["like"] = chosen.row["from"]
        return where, mask, {**parameters, **facts}

    def find(self, scene: Scene, learned: Learned, random: np.random.Generator) -> Choice | None:
        """An example and a place for one like it: the best of a few examples, since pictures differ too; None without room."""
        anywhere = (self.style.place or learned.place) == "anywhere"
        ground = placement.Ground(scene.clean, scene.taken, anywhere)
        spread = placement.spread_of(np.array([row["position"] for row in learned.examples]))
        tried = []
        for number in random.permutation(len(learned.examples))[: 1 if anywhere else NUM_EXAMPLES]:
            row = learned.examples[int(number)]
            mirrored = bool(random.random() < 0.5)
            x, y = row["position"]
            like = Surroundings(np.asarray(row["around"]), (x, y), row["radius"])
            place = placement.find(ground, like.mirrored if mirrored else like, random, spread=spread)
            if place is not None:
                tried.append(Choice(row, place, mirrored))
        return max(tried, key=lambda choice: choice.place.score, default=None)

    def fibre(self, scene: Scene, learned: Learned, chosen: Choice, random: np.random.Generator) -> Made | None:
        """A fibre: its rendering, where the first pixel of that lies (x, y), and what it was drawn by."""
        row, place = chosen.row, chosen.place
        first = curve_of(row)
        others = [other for other in learned.examples if other is not row and "points" in other]
        second = curve_of(others[int(random.integers(len(others)))]) if others and random.random() < 0.5 else None
        if self.style.shapes == "random":
            curve = curves.random_curve(random, length=first.length, width=float(np.median(first.widths)))
        else:
            curve = curves.new_curve(first, random, second=second)
            if not curves.is_simple(curve):
                return None
        curve = curves.placed(curve, place.centre, place.turn, mirrored=chosen.mirrored)
        points, widths = curve.dense()
        reach = PAD + 2.0 * widths.max()
        low = np.floor(points.min(axis=0) - reach).astype(int)
        high = np.ceil(points.max(axis=0) + reach).astype(int) + 1
        tube = lifted(Curve(curve.points - low, curve.widths), random)
        material = from_data(row["material"])
        azimuth = np.arctan2(-0.36, -0.48) + 0.3 * random.standard_normal()
        light = Light(
            (0.6 * np.cos(azimuth), 0.6 * np.sin(azimuth), 0.8), shadow=float(np.clip(varied(0.3, random), 0, 0.8))
        )
        shape = (int(high[1] - low[1]), int(high[0] - low[0]))
        rendering = softened(renderer(self.style.renderer)(tube, material, light, shape), scene.blur)
        parameters = {
            "control_points": curve.points, "widths": curve.widths, "thickness": float(np.median(curve.widths)),
            "material": material.as_data(), "light": light.direction, "shadow": light.shadow,
        }  # fmt: skip
        return rendering, (int(low[0]), int(low[1])), parameters

    def blot(self, scene: Scene, learned: Learned, chosen: Choice, random: np.random.Generator) -> Made | None:
        """A polygon filled with the pixels of a real defect, moved with its outline."""
        row, place = chosen.row, chosen.place
        noise = 0.5 if self.style.shapes == "random" else polygons.RADIAL_NOISE
        warp = polygons.new_warp(random, turn=place.turn, mirrored=chosen.mirrored, noise=noise)
        vertices = warp.moved(np.asarray(row["vertices"]))
        if not polygons.is_simple(vertices):
            return None
        pixels = self.cutouts[row["cutout"]]
        centre = np.asarray(place.centre)
        layers, low = polygons.warped(pixels / 255.0, np.asarray(row["centre"]), warp, vertices)
        colour = layers[..., :-1]
        outline = polygons.filled(vertices - low, colour.shape[:2]).astype(np.float32)
        if row["in_pieces"]:  # a polygon stands for one piece alone
            outline = (layers[..., -1] > 0.5).astype(np.float32)
        coverage = ndimage.gaussian_filter(outline, max(scene.blur, 0.5))
        coverage[coverage < 1e-3] = 0.0
        first = np.rint(centre).astype(int) + low
        # What shines through is the new ground instead of the old one.
        ground = ground_at(scene.picture, (int(first[1]), int(first[0])), colour.shape[:2])
        colour = np.clip(colour + row["translucency"] * (ground - np.asarray(row["ground"])), 0, 1)
        rendering = Rendering(colour, coverage, np.zeros_like(coverage))
        parameters = {
            "control_points": vertices + np.rint(centre), "thickness": None,
            "material": {"cutout": row["cutout"], "shines_through": row["translucency"]}, "scale": warp.scale,
        }  # fmt: skip
        return rendering, (int(first[0]), int(first[1])), parameters


def ground_at(picture: np.ndarray, first: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """The part of a picture whose first pixel is at ``first`` (row, column), its rim repeated: [h, w, C] from 0 to 1."""
    rows = (first[0] + np.arange(shape[0])).clip(0, picture.shape[0] - 1)
    columns = (first[1] + np.arange(shape[1])).clip(0, picture.shape[1] - 1)
    return np.atleast_3d(picture[np.ix_(rows, columns)]) / 255.0


def curve_of(row: dict[str, Any]) -> Curve:
    return Curve(np.asarray(row["points"], dtype=np.float64), np.asarray(row["widths"], dtype=np.float64))


def random_size(random: np.random.Generator) -> primitives.Size:
    """A size that is matched to no real defect."""
    area = float(np.exp(random.uniform(*np.log(RANDOM_AREA))))
    reach = float(np.sqrt(area) * np.exp(random.uniform(-0.7, 0.7)))
    room = float(random.uniform(5, 40))
    return primitives.Size(area, reach, area / reach, room, float(random.uniform(3, 30)), bool(random.random() < 0.2))


def take(scene: Scene, box: Box, where: tuple[slice, slice]) -> None:
    """Keep what follows off a box and a place, so that no defect hides another."""
    left, top, right, bottom = (int(edge) for edge in box)
    for part in ((slice(top, bottom), slice(left, right)), where):
        scene.taken[part] = True
        if scene.board is not None:
            scene.board.take(part)


def on_picture(
    rendering: Rendering, first: tuple[int, int], shape: tuple[int, ...]
) -> tuple[Rendering, tuple[slice, slice]] | None:
    """The part of a rendering whose first pixel is at ``first`` (row, column) that lies on the picture; None if too little."""
    height, width = rendering.coverage.shape
    top, left = first
    rows = slice(max(0, -top), min(height, shape[0] - top))
    columns = slice(max(0, -left), min(width, shape[1] - left))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    part = Rendering(*(layer[rows, columns] for layer in (rendering.colour, rendering.coverage, rendering.shadow)))
    if part.coverage.sum() < LEAST_INSIDE * rendering.coverage.sum():
        return None
    return part, (slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))


def read_cutout(path: Path) -> np.ndarray:
    """Pixels and mask of a real defect, [h, w, 2] or [h, w, 4]; ValueError where the picture is not beside the recipe."""
    if not path.is_file():
        raise ValueError(
            f"{path}, a picture that belongs to the recipe, is not there: keep its folder beside it, or fit again"
        )
    with Image.open(path) as opened:
        return np.array(opened).astype(np.float32)
