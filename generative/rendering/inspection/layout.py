"""What a product is and what an image of it may differ in: the plan that everything is drawn by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from generative.rendering.inspection.address import Address, periodic_noise, periodic_values
from generative.rendering.inspection.canvas import UNITS, Light, linear
from generative.rendering.inspection.classes import PRODUCTS
from generative.rendering.inspection.routing import Trace, route

MOST_TURN, MOST_MOVE = math.radians(2.0), 0.05  # of a part that is well placed: 2 degrees, 5 percent of its length
SOLDER_MASKS = {
    "green": linear(46, 84, 60),
    "blue": linear(46, 64, 98),
    "black": linear(50, 51, 54),
    "olive": linear(86, 86, 56),
}
EPOXIES = {"black": linear(34, 34, 37), "grey": linear(60, 64, 72), "amber": linear(104, 70, 40)}
CHIPS = {
    "capacitor": [linear(168, 136, 108), linear(132, 104, 84), linear(176, 164, 146)],
    "resistor": [linear(36, 36, 40), linear(30, 42, 66)],
    "inductor": [linear(72, 72, 76), linear(96, 88, 82)],
    "transistor": [linear(40, 40, 42)],
    "crystal": [linear(176, 174, 168)],
}
SIZES = {"capacitor": (30, 16), "resistor": (32, 17), "inductor": (40, 34), "transistor": (32, 26), "crystal": (46, 30)}


@dataclass(frozen=True)
class Site:
    """Where a part belongs: its middle, its direction, its kind; half its length and half its width."""

    name: str
    kind: str
    centre: tuple[float, float]
    angle: float
    half: tuple[float, float]
    colour: int

    def points(self, *, grown: float = 0.0) -> np.ndarray:
        """The corners [4, 2] in units, ``grown`` units farther."""
        x, y = self.half[0] + grown, self.half[1] + grown
        corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return corners @ np.array([[cos, sin], [-sin, cos]]) + self.centre


@dataclass(frozen=True)
class Die:
    """Middle, half sides and direction of the die; its words, and how many solder bumps lie under it."""

    centre: tuple[float, float]
    half: tuple[float, float]
    angle: float
    words: tuple[str, ...]
    pitch: float

    def points(self, *, grown: float = 0.0) -> np.ndarray:
        return Site("", "", self.centre, self.angle, self.half, 0).points(grown=grown)


@dataclass(frozen=True)
class Product:
    """What all images of a product share."""

    number: int
    solder_mask: str
    epoxy: str
    die: Die
    band: tuple[float, float]  # units off the die between which the epoxy may end
    sites: tuple[Site, ...]
    fiducials: tuple[tuple[float, float], ...]
    traces: tuple[Trace, ...]
    pour: bool  # whether copper lies between the traces
    fingers: bool  # gold contacts along one edge


@dataclass(frozen=True)
class Pose:
    """How a part lies: moved from its site by shares of its length and width, turned by an angle."""

    move: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    state: str = "placed"  # or missing, tombstoned, chipped, bent
    amount: float = 0.0


@dataclass(frozen=True)
class Scene:
    """One image's board: the product within its tolerances, which a defect of structure replaces."""

    address: Address
    product: Product
    light: Light
    turn: float
    shift: tuple[float, float]
    die: Die
    rim: np.ndarray  # coefficients of the epoxy's outline
    poses: tuple[Pose, ...]
    bumps: tuple[tuple[float, float, float], ...] = ()  # of the outline beyond its tolerance: place, width, height
    die_state: str = "placed"  # or missing, and whether the epoxy is there

    def outline(self, places: np.ndarray) -> np.ndarray:
        """Units off the die at which the epoxy ends, by the place along the die's edge, of period 1.

        Within the product's band, as good epoxy is, unless ``bumps`` are added.
        """
        low, high = self.product.band
        width = (low + high) / 2 + (high - low) / 2 * np.tanh(0.9 * periodic_values(self.rim, places))
        for place, spread, amount in self.bumps:
            away = np.abs(np.mod(places - place + 0.5, 1.0) - 0.5) / spread
            width = width + amount * (1 - np.minimum(away, 1) ** 2) ** 0.8
        return np.maximum(width, -20.0).astype(np.float32)


@lru_cache(maxsize=64)
def product_of(seed: int, number: int) -> Product:
    """Product ``number`` of the world of ``seed``: its plan and its routed traces."""
    random = Address(seed, "all", "product", number).generator("layout")
    die = plan_die(random)
    low = random.uniform(16, 24)
    band = (low, low + random.uniform(16, 26))
    sites = plan_sites(random, die, reach=band[1] + 14)
    corners = [(64.0, 64.0), (960.0, 64.0), (64.0, 960.0), (960.0, 960.0)]
    fiducials = tuple(corners[k] for k in sorted(random.permutation(4)[: random.integers(1, 4)]))
    fingers = bool(random.uniform() < 0.3)
    blocked = [die.points(grown=band[1]), *(site.points(grown=9) for site in sites)]
    blocked += [Site("", "", place, 0, (22, 22), 0).points() for place in fiducials]
    if fingers:
        blocked.append(Site("", "", (512, 1000), 0, (512, 34), 0).points())
    traces = route(Address(seed, "all", "product", number).generator("traces"), blocked, die.points(grown=band[1]))
    return Product(
        number=number,
        solder_mask=list(SOLDER_MASKS)[number % len(SOLDER_MASKS)],
        epoxy=list(EPOXIES)[int(random.choice(3, p=[0.5, 0.3, 0.2]))],
        die=die,
        band=band,
        sites=sites,
        fiducials=fiducials,
        traces=traces,
        pour=bool(random.uniform() < 0.6),
        fingers=fingers,
    )


def plan_die(random: np.random.Generator) -> Die:
    half = (random.uniform(150, 250), random.uniform(140, 230))
    centre = tuple(512 + random.uniform(-60, 60, 2))
    letters = list("ABCDEFGHJKLMNPRSTUVWXYZ")
    words = [
        "".join(random.choice(letters, 2)) + str(random.integers(100, 9999)),
        f"{random.choice(letters)}{random.integers(10, 99)}-{random.integers(100, 999)}",
        f"{random.integers(20, 27)}{random.integers(10, 53)}{random.choice(letters)}",
    ]
    return Die(centre, half, 0.0, tuple(words[: random.integers(2, 4)]), random.uniform(17, 26))


def plan_sites(random: np.random.Generator, die: Die, *, reach: float) -> tuple[Site, ...]:
    """Rows of like parts beside the die, some in two rows, and a few parts elsewhere."""
    sites: list[Site] = []
    for side in range(4):
        if random.uniform() < 0.12:
            continue
        kind = str(random.choice(list(CHIPS), p=[0.5, 0.25, 0.1, 0.1, 0.05]))
        across = bool(random.uniform() < 0.5)
        first = reach + 20 + random.uniform(0, 40)
        for row in range(1 + int(random.uniform() < 0.35)):
            count = int(random.integers(3, 9))
            sites += plan_row(random, die, side=side, first=first + 62 * row, count=count, kind=kind, across=across)
    for _ in range(random.integers(3, 11)):
        kind = str(random.choice(list(CHIPS), p=[0.35, 0.3, 0.15, 0.12, 0.08]))
        place = random.uniform(50, 974, 2)
        sites.append(new_site(random, kind, (float(place[0]), float(place[1])), int(random.integers(4))))
    kept: list[Site] = []
    for site in sites:
        if is_free(site, die, reach, kept):
            kept.append(site)
    return tuple(replace(site, name=f"{site.kind[0].upper()}{number + 1}") for number, site in enumerate(kept))


def plan_row(
    random: np.random.Generator, die: Die, *, side: int, first: float, count: int, kind: str, across: bool
) -> list[Site]:
    """Parts along one side of the die, evenly spread, ``first`` units off its edge."""
    length = die.half[1] if side % 2 == 0 else die.half[0]
    away = (die.half[0] if side % 2 == 0 else die.half[1]) + first
    shade = int(random.integers(len(CHIPS[kind])))
    sites = []
    for along in np.linspace(-0.85, 0.85, count) * length:
        offset = {0: (away, along), 1: (along, away), 2: (-away, along), 3: (along, -away)}[side]
        centre = (die.centre[0] + float(offset[0]), die.centre[1] + float(offset[1]))
        sites.append(new_site(random, kind, centre, side + int(across), colour=shade))
    return sites


def new_site(
    random: np.random.Generator, kind: str, centre: tuple[float, float], quarter: int, *, colour: int | None = None
) -> Site:
    grown = random.uniform(0.85, 1.2) if colour is None else 1.0
    half = (SIZES[kind][0] / 2 * grown, SIZES[kind][1] / 2 * grown)
    shade = int(random.integers(len(CHIPS[kind]))) if colour is None else colour
    return Site("", kind, centre, quarter % 4 * math.pi / 2, half, shade)


def is_free(site: Site, die: Die, reach: float, others: list[Site]) -> bool:
    corners = site.points(grown=10)
    if corners.min() < 24 or corners.max() > UNITS - 70:
        return False
    low, high = die.points(grown=reach).min(axis=0), die.points(grown=reach).max(axis=0)
    if np.all(corners.max(axis=0) > low) and np.all(corners.min(axis=0) < high):
        return False
    if min(math.dist(site.centre, place) for place in ((64, 64), (960, 64), (64, 960), (960, 960))) < 60:
        return False
    return not any(
        np.all(corners.max(axis=0) > other.points(grown=4).min(axis=0))
        and np.all(corners.min(axis=0) < other.points(grown=4).max(axis=0))
        for other in others
    )


def scene_of(address: Address) -> Scene:
    """A faultless board: a product, its parts within their tolerance, the epoxy within its band, the camera's place."""
    chosen = address.generator("product").integers(PRODUCTS) % address.products
    product = product_of(address.seed, int(chosen))
    camera, placing = address.generator("camera"), address.generator("placing")
    die = product.die
    moved = (die.centre[0] + placing.normal() * 1.5, die.centre[1] + placing.normal() * 1.5)
    turned = float(np.clip(placing.normal() * 0.3, -0.9, 0.9))
    lot = f"{address.generator('lot').integers(1000, 9999)}"
    die = replace(die, centre=moved, angle=math.radians(turned), words=(*die.words, lot))
    poses = []
    for _ in product.sites:
        turn = float(np.clip(placing.normal() * MOST_TURN / 2, -MOST_TURN, MOST_TURN))
        move = np.clip(placing.normal(size=2) * MOST_MOVE / 2, -MOST_MOVE, MOST_MOVE)
        poses.append(Pose((float(move[0]), float(move[1])), turn))
    epoxy = address.generator("epoxy")
    shift = camera.uniform(-7, 7, 2)
    return Scene(
        address=address,
        product=product,
        light=Light(float(camera.uniform(0, 2 * math.pi)), math.radians(camera.uniform(48, 66))),
        turn=math.radians(float(np.clip(camera.normal() * 0.4, -1, 1))),
        shift=(float(shift[0]), float(shift[1])),
        die=die,
        rim=periodic_noise(epoxy, orders=14, roughness=0.8),
        poses=tuple(poses),
    )
