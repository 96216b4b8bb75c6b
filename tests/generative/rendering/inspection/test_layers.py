"""Layers of the rendered world, each against a closed form or a rule of the trade."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from generative.rendering.inspection.address import Address, periodic_noise, periodic_values
from generative.rendering.inspection.canvas import Canvas, Light, box_distance
from generative.rendering.inspection.defects import form_of, of_structure
from generative.rendering.inspection.epoxy import rim_places
from generative.rendering.inspection.foreign import worm
from generative.rendering.inspection.layout import MOST_MOVE, MOST_TURN, Die, product_of, scene_of
from generative.rendering.inspection.optics import READ_NOISE, SHOT_NOISE, Optics
from generative.rendering.inspection.relief import Material, lit
from generative.rendering.inspection.spills import RARE
from generative.rendering.inspection.swept import path_step, resampled, sweep


def canvas_of(size: int) -> Canvas:
    return Canvas(size, light=Light(0.0, math.radians(60)))


def crossing(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    """Whether the pieces from a to b and from c to d cross within the image."""

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    before, after = side(c, d, a), side(c, d, b)
    if side(a, b, c) * side(a, b, d) >= 0 or before * after >= 0:
        return False
    place = a + (b - a) * before / (before - after)
    return bool(np.all((place >= 0) & (place <= 1024)))


def test_traces_run_in_eight_directions_and_cross_nothing() -> None:
    product = product_of(0, 0)
    assert len(product.traces) > 60
    low, high = (edge(product.die.points(grown=product.band[1]), axis=0) for edge in (np.min, np.max))
    pieces = []
    for number, trace in enumerate(product.traces):
        angles = np.degrees(np.arctan2(*np.diff(trace.points, axis=0).T[::-1])) / 45
        assert np.allclose(angles, np.rint(angles), atol=1e-6)
        for start, end in itertools.pairwise(trace.points):
            middle = (start + end) / 2
            if not (np.all(middle > low) and np.all(middle < high)):  # not below the die
                pieces.append((number, start, end))
    for (one, *first), (other, *second) in itertools.combinations(pieces, 2):
        assert one == other or not crossing(*first, *second)
    for site in product.sites:
        rim = site.points(grown=4)
        for _, start, end in pieces:
            assert not any(crossing(start, end, rim[k - 1], rim[k]) for k in range(4)), site.name


@pytest.mark.parametrize("number", range(4))
def test_what_is_good_is_within_its_tolerance(number: int) -> None:
    """The epoxy ends within its band, parts lie within two degrees and five percent; defects are beyond."""
    scene = scene_of(Address(0, "train", "clean", number))
    low, high = scene.product.band
    places = np.linspace(0, 1, 2000)
    width = scene.outline(places)
    assert low <= width.min() < width.max() <= high
    assert width.max() - width.min() > 0.4 * (high - low), "its noise is to be seen"
    assert all(abs(pose.turn) <= MOST_TURN and max(map(abs, pose.move)) <= MOST_MOVE for pose in scene.poses)
    random = np.random.default_rng(number)
    for _ in range(20):
        assert of_structure("excess epoxy", scene, random, contrast=1.0)[0].outline(places).max() > high
        assert of_structure("missing epoxy", scene, random, contrast=1.0)[0].outline(places).min() < low
        worse, facts = of_structure("component", scene, random, contrast=1.0)
        pose = worse.poses[facts["site"]]
        beyond = abs(pose.turn) > 4 * MOST_TURN or max(map(abs, pose.move)) >= 0.2
        assert pose.state != "placed" or beyond
        assert sum(a != b for a, b in zip(worse.poses, scene.poses, strict=True)) == 1


def test_places_around_the_die_are_those_of_the_nearest_point() -> None:
    die = Die((512, 512), (90, 60), 0.0, (), 20)
    random = np.random.default_rng(0)
    points = random.uniform(-200, 200, (300, 2)).astype(np.float32)
    distance, place = rim_places(points[:, 0], points[:, 1], die)
    # The edge walked from the upper right corner down, left, up and right again.
    corners = np.array([[90, -60], [90, 60], [-90, 60], [-90, -60], [90, -60]], float)
    lengths = np.concatenate([[0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
    walked = np.linspace(0, 600, 60001)
    edge = np.stack([np.interp(walked, lengths, corners[:, k]) for k in range(2)], axis=1)
    for point, own_distance, own_place in zip(points, distance, place, strict=True):
        away = np.linalg.norm(edge - point, axis=1)
        assert abs(own_distance) == pytest.approx(away.min(), abs=0.02)
        nearest = np.abs(walked[away < away.min() + 0.01] / 600 - own_place)
        assert np.minimum(nearest, 1 - nearest).min() < 1e-3
        assert (own_distance < 0) == bool(np.all(np.abs(point) < [90, 60]))


def test_a_worm_forgets_its_direction_over_its_persistence_length() -> None:
    """<cos(angle between directions s apart)> = exp(-s / P)."""
    random = np.random.default_rng(0)
    cosines = {20.0: [], 60.0: [], 120.0: []}  # type: dict[float, list[float]]
    for _ in range(400):
        steps = np.diff(worm(random, length=400, persistence=80.0, kinks=0.0), axis=0) / 2
        for apart, found in cosines.items():
            lag = int(apart / 2)
            found.append(float((steps[:-lag] * steps[lag:]).sum(axis=1).mean()))
    for apart, found in cosines.items():
        assert np.mean(found) == pytest.approx(math.exp(-apart / 80), abs=0.05)


def test_a_swept_path_is_as_far_and_as_wide_as_it_should_be() -> None:
    canvas = canvas_of(128)
    path = resampled(np.array([[200.0, 300.0], [800.0, 700.0]]), path_step(canvas))
    drawn = sweep(canvas, path, margin=80)
    assert drawn is not None
    u, v = canvas.grid(drawn.window, fine=2)
    start, end = path[0], path[-1]
    along = (end - start) / np.linalg.norm(end - start)
    x, y = u - start[0], v - start[1]
    foot = x * along[0] + y * along[1]
    shadow = np.clip(foot, 0, np.linalg.norm(end - start))
    exact = np.hypot(x - shadow * along[0], y - shadow * along[1])
    beside = (exact < 30) & (foot == shadow)  # at the ends the caps are rough
    assert np.abs(drawn.distance - exact)[beside].max() < 0.8  # units: a tenth of a pixel
    radius = 20.0
    area = drawn.pixels(drawn.cover(canvas, np.full(len(path), radius, np.float32))).sum() / canvas.scale**2
    expected = 2 * radius * np.linalg.norm(end - start) + math.pi * radius**2
    assert area == pytest.approx(expected, rel=0.02)


def test_a_box_is_covered_by_its_area_whatever_the_turn() -> None:
    canvas = canvas_of(128)
    for angle in (0.0, 0.3, 1.1):
        u, v = canvas.grid(canvas.whole(), centre=(500, 520), angle=angle)
        cover = canvas.cover(box_distance(u, v, (150, 80)))
        assert cover.sum() / canvas.scale**2 == pytest.approx(4 * 150 * 80, rel=0.01)


def test_flat_ground_looks_as_its_colour_and_slopes_to_the_lamp_are_brighter() -> None:
    canvas = canvas_of(64)
    colour = np.array([0.2, 0.3, 0.4], np.float32)
    matt = Material(colour, mirror=0.0)
    flat = lit(canvas, np.zeros((20, 20), np.float32), matt)
    assert np.allclose(flat, colour, rtol=1e-5)
    rising = np.tile(np.arange(20, dtype=np.float32) * 4, (20, 1))  # towards +x, away from a lamp at +x
    assert np.all(lit(canvas, rising, matt) < colour)
    assert np.all(lit(canvas, -rising, matt) > colour)


@pytest.mark.parametrize("size", [128, 256])
def test_noise_grows_with_the_signal_and_falls_with_the_size_of_a_pixel(size: int) -> None:
    """variance = (read^2 + shot * signal) (size / 1024)^2, in linear light."""
    canvas = canvas_of(size)
    flat = np.ones((size, size), np.float32)
    optics = Optics(flat, 0 * flat, 1.0, 0.0, flat, 90)
    for signal in (0.1, 0.5):
        canvas.colour[:] = signal
        photo = optics.photo(canvas, np.random.default_rng(0))
        assert np.median(photo) == round(255 * signal ** (1 / 2.2))
        slope = 255 / 2.2 * signal ** (1 / 2.2 - 1)  # levels by linear light
        expected = (READ_NOISE**2 + SHOT_NOISE * signal) * (size / 1024) ** 2 * slope**2
        assert photo.astype(float).var() == pytest.approx(expected + 1 / 12, rel=0.1)


def test_periodic_noise_is_periodic_with_a_deviation_of_one() -> None:
    random = np.random.default_rng(0)
    places = np.linspace(0, 1, 500, endpoint=False)
    values = np.stack([periodic_values(periodic_noise(random, orders=8), places) for _ in range(500)])
    assert values.std() == pytest.approx(1.0, rel=0.05)
    coefficients = periodic_noise(random, orders=8)
    assert np.allclose(periodic_values(coefficients, places), periodic_values(coefficients, places + 3), atol=1e-4)
    wave = np.array([[0.0, 0.0], [0.0, 1.0]])  # sin(2 pi 2 s)
    assert np.allclose(periodic_values(wave, places), np.sin(4 * np.pi * places), atol=1e-4)


def test_rare_defects_have_a_long_tail() -> None:
    random = np.random.default_rng(0)
    drawn = [form_of("other", random) for _ in range(6000)]
    shares = np.array([drawn.count(kind) for kind in RARE]) / 6000
    weights = 1 / np.arange(1, len(RARE) + 1)
    assert np.allclose(shares, weights / weights.sum(), atol=0.02)
    assert form_of("crack", random) == "crack"
