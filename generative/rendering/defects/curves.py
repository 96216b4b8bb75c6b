"""Fibres and scratches as curves: from a mask to a centre line with its widths, and new curves from fitted ones.

mask -> skeleton -> its longest path -> least-squares cubic spline -> 4 to 20 control points. Points are (x, y) in pixels, where
the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline, make_splprep
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from generative.rendering.defects.draws import varied
from generative.rendering.defects.libraries import needed
from generative.rendering.defects.topology import BOARD_NEIGHBOURS, COPPER_NEIGHBOURS

SMOOTHING = 0.35  # squared pixels a point that the spline may be off a skeleton, which lies on whole pixels
CENTRED_SMOOTHING = 0.02  # the same once its points are in the middle between both rims
NUM_CONTROL = (4, 20)
PIXELS_PER_CONTROL = 14.0  # of length, so that a short fibre has few control points
LEAST_LENGTH = 6.0  # pixels of a centre line
SMALLEST_HOLE = 6  # pixels: smaller holes in a mask are noise
MAIN_SHARE = 0.9  # of a mask in its largest piece
WIDEST = 1.8  # times the median width: where a curve is wider it touches itself
LONGEST_BRANCH = 0.25  # of the path, and 1.5 widths: what is longer makes a mask no curve
NUM_CENTRINGS = 2
STEP = 0.5  # pixels between the samples of a curve
END = 0.85  # of the median radius: a skeleton that goes on in the cap of an end is cut there
NUM_WAVES = 5  # of the noise of control points along a curve
POINT_NOISE = 0.05  # of the length: standard deviation of a control point that is drawn anew


@dataclass(frozen=True)
class Curve:
    """Control points [K, 2] that a cubic spline goes through, by chord length, and the width at each [K], in pixels."""

    points: np.ndarray
    widths: np.ndarray

    def dense(self, *, step: float = STEP) -> tuple[np.ndarray, np.ndarray]:
        """Points [N, 2] about ``step`` pixels apart along the curve, and the widths there [N]."""
        places = chord_lengths(self.points)
        fine = np.linspace(0, places[-1], max(8, int(places[-1] / step) + 1))
        spline = CubicSpline(places, self.points, axis=0, bc_type="natural")
        return spline(fine), np.interp(fine, places, self.widths)

    @property
    def length(self) -> float:
        return float(np.linalg.norm(np.diff(self.dense()[0], axis=0), axis=1).sum())


def chord_lengths(points: np.ndarray) -> np.ndarray:
    """The length of the polyline up to each of its points [N], from 0."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def resampled(points: np.ndarray, count: int) -> np.ndarray:
    """``count`` points at equal distances along a polyline [N, 2]."""
    places = chord_lengths(points)
    wanted = np.linspace(0, places[-1], count)
    return np.stack([np.interp(wanted, places, points[:, axis]) for axis in (0, 1)], axis=1)


def fit(mask: np.ndarray) -> Curve:
    """The curve that a ``mask`` bool [H, W] is of; ValueError where it is none: it touches itself,
    branches, is in pieces, or is a blob."""
    mask = main_piece(without_small_holes(np.pad(mask, 1)))
    path, radii = centre_path(mask)
    path, radii = path - 1.0, radii  # the padding
    if chord_lengths(path)[-1] < LEAST_LENGTH:
        raise ValueError("the mask is a blob, not a curve: its centre line is shorter than 6 pixels")
    line = smooth_line(path)
    for _ in range(NUM_CENTRINGS):
        middle = centred(mask[1:-1, 1:-1], resampled(line, len(path)), 2 * float(np.median(radii)))
        line = smooth_line(middle, off=CENTRED_SMOOTHING)
    line = to_tips(mask[1:-1, 1:-1], line, float(np.median(radii)))
    count = int(np.clip(round(chord_lengths(line)[-1] / PIXELS_PER_CONTROL) + 3, *NUM_CONTROL))
    points = resampled(line, count)
    smooth = ndimage.gaussian_filter1d(radii, 3, mode="nearest")
    local = smooth[cKDTree(path).query(points)[1]]
    shape = Curve(points, 2 * local)
    return Curve(points, shape.widths * (width_by_area(mask[1:-1, 1:-1], shape) / np.median(shape.widths)))


def smooth_line(path: np.ndarray, *, off: float = SMOOTHING) -> np.ndarray:
    """The least-squares cubic spline of a path [N, 2], four points a pixel: [4 N, 2]. ``off``: mean squared residual."""
    spline, _ = make_splprep(path.T, s=off * len(path), k=3)
    return spline(np.linspace(0, 1, 4 * len(path))).T


def centred(mask: np.ndarray, points: np.ndarray, width: float) -> np.ndarray:
    """Points [N, 2] moved along the normals of their line to the middle of the mask there: a skeleton lies on whole pixels."""
    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True) + 1e-9
    normals = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
    reach = 0.5 * width + 2
    along = np.linspace(-reach, reach, 61)
    places = points[:, None] + along[None, :, None] * normals[:, None]
    inside = ndimage.map_coordinates(mask.astype(np.float64), [places[..., 1], places[..., 0]], order=1)
    total = inside.sum(axis=1)
    offsets = np.where(total > 0, inside @ along / np.maximum(total, 1e-9), 0.0)
    return points + offsets[:, None] * normals


def to_tips(mask: np.ndarray, line: np.ndarray, radius: float) -> np.ndarray:
    """A centre line [N, 2] cut or lengthened so that round caps of ``radius`` at its ends reach the tips of the mask."""
    for _ in range(2):  # one end, then the other
        line = line[::-1]
        inner = line[min(len(line) - 1, max(4, int(4 * 2 * radius)))]  # four points a pixel: a width away
        outwards = (line[0] - inner) / (np.linalg.norm(line[0] - inner) + 1e-9)
        along = np.arange(-radius, 3 * radius + 2, 0.05)
        places = line[0] + along[:, None] * outwards
        inside = ndimage.map_coordinates(mask.astype(np.float64), [places[:, 1], places[:, 0]], order=1) >= 0.5
        if not inside[0]:
            continue
        tip = along[int(np.argmin(inside))] if not inside.all() else along[-1]
        end = line[0] + np.clip(tip - radius, -radius, radius) * outwards
        kept = line[(line - end) @ outwards < 0] if tip < radius else line
        line = np.vstack([end, kept]) if len(kept) > 4 else line
    return line


def outline(mask: np.ndarray, *, num_points: int) -> np.ndarray:
    """The chapter's own fit: a closed least-squares cubic spline through the contour of a mask, [num_points, 2]."""
    measure = needed("skimage.measure", "fitting curves")
    contours = measure.find_contours(np.pad(mask, 1).astype(float), 0.5, fully_connected="high")
    contour = max(contours, key=len)[:, ::-1] - 1.0
    spline, _ = make_splprep(contour.T, s=SMOOTHING * len(contour), k=3, bc_type="periodic")
    return spline(np.linspace(0, 1, num_points, endpoint=False)).T


def main_piece(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask; ValueError where it is not nearly all of it, as a fit would be of a part."""
    labels, count = ndimage.label(mask, COPPER_NEIGHBOURS)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.max() < MAIN_SHARE * sizes.sum():
        raise ValueError("the mask is in several pieces, not one curve: split it in as many masks")
    return labels == 1 + int(sizes.argmax())


def without_small_holes(mask: np.ndarray) -> np.ndarray:
    holes, _ = ndimage.label(~mask, BOARD_NEIGHBOURS)
    sizes = np.bincount(holes.ravel())
    small = sizes < SMALLEST_HOLE
    small[0] = False
    return mask | small[holes]


def centre_path(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The longest path of the skeleton of a padded mask, [N, 2], and the distance to the rim along it [N]; ValueError."""
    morphology = needed("skimage.morphology", "fitting curves")
    skeleton = morphology.skeletonize(mask)
    if ndimage.label(~skeleton, BOARD_NEIGHBOURS)[1] > 1:
        raise ValueError("the mask is of a curve that touches itself: split it in two masks")
    rows, columns = np.nonzero(skeleton)
    if len(rows) < 4:
        raise ValueError("the mask is a blob, not a curve: its centre line is shorter than 6 pixels")
    graph = skeleton_graph(rows, columns, skeleton.shape)
    far = dijkstra(graph, indices=0)
    first = int(np.argmax(np.where(np.isfinite(far), far, -1)))
    lengths, before = dijkstra(graph, indices=first, return_predecessors=True)
    lengths = np.where(np.isfinite(lengths), lengths, -1)
    path = [int(np.argmax(lengths))]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    radii = ndimage.distance_transform_edt(mask)[rows, columns]
    check_single(graph, path, radii)
    kept = cut_caps(radii[path])
    chosen = np.array(path)[kept]
    # A pixel at distance d from the nearest outer pixel centre lies d - 1/2 from the rim between the two.
    return np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64), radii[chosen] - 0.5


def skeleton_graph(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> coo_array:
    """The distances between neighbouring pixels of a skeleton, as a sparse matrix."""
    numbers = np.full(shape, -1)
    numbers[rows, columns] = np.arange(len(rows))
    starts, ends, lengths = [], [], []
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        other = numbers[rows + down, columns + right]
        there = other >= 0
        starts.append(np.nonzero(there)[0])
        ends.append(other[there])
        lengths.append(np.full(int(there.sum()), np.hypot(down, right)))
    a, b, w = map(np.concatenate, (starts, ends, lengths))
    size = len(rows)
    return coo_array((np.r_[w, w], (np.r_[a, b], np.r_[b, a])), shape=(size, size)).tocsr()


def check_single(graph: coo_array, path: list[int], radii: np.ndarray) -> None:
    """ValueError where a skeleton has a long branch beside its path, or grows so wide that the curve touches itself."""
    along = radii[path]
    width = 2 * float(np.median(along))
    off = dijkstra(graph, indices=path, min_only=True)
    branch = float(off[np.isfinite(off)].max())
    length = float(dijkstra(graph, indices=path[0])[path[-1]])
    if branch > max(LONGEST_BRANCH * length, 1.5 * width):
        raise ValueError("the mask branches: it is of several curves, split it in as many masks")
    inner = along[cut_caps(along)]
    if len(inner) and 2 * float(inner.max()) > WIDEST * width + 1 and length > 3 * width:
        raise ValueError("the mask is of a curve that touches itself: split it in two masks")


def cut_caps(along: np.ndarray) -> slice:
    """The part of a path without its ends that lie in the round caps of the curve, by the radii along it [N]."""
    wide = np.nonzero(along >= END * np.median(along))[0]
    return slice(int(wide[0]), int(wide[-1]) + 1)


def distance_to(curve: Curve, shape: tuple[int, int], *, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel centre [H, W] to the curve's centre line, and the curve's width at the nearest point of it.

    Farther than ``reach`` the distance is infinite, and the width 0.
    """
    points, widths = curve.dense(step=0.2)
    pixels = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1).reshape(-1, 2)
    distance, nearest = cKDTree(points).query(pixels, distance_upper_bound=reach)
    return distance.reshape(shape), np.append(widths, 0.0)[nearest].reshape(shape)


def rendered_mask(curve: Curve, shape: tuple[int, int]) -> np.ndarray:
    """The binarised rendering of a curve: pixels whose centres lie within half the width of its centre line."""
    distance, widths = distance_to(curve, shape, reach=float(curve.widths.max()) / 2 + 1)
    return distance <= widths / 2


def width_by_area(mask: np.ndarray, curve: Curve) -> float:
    """The median width at which the rendering of ``curve``, as it widens, has as many pixels as ``mask``, by a grid of 0.05."""
    median = float(np.median(curve.widths))
    grid = np.arange(0.5, 3 * median + 3, 0.05)
    distance, widths = distance_to(curve, mask.shape, reach=float(grid[-1] * curve.widths.max() / median) / 2 + 1)
    near = widths > 0
    relative = np.sort(2 * distance[near] / widths[near] * median)  # the median width at which each pixel is reached
    areas = np.searchsorted(relative, grid, side="right")
    return float(grid[np.argmin(np.abs(areas - mask.sum()))])


def new_curve(
    first: Curve, random: np.random.Generator, *, second: Curve | None = None, noise: float = POINT_NOISE
) -> Curve:
    """A curve around (0, 0) like a fitted one, or between it and a second one: other control points and another width."""
    base = first if second is None else between(first, second, float(random.uniform(0.2, 0.8)))
    # Independent noise would make a smooth fibre wriggle: slow waves along it are much stronger than quick ones.
    along = chord_lengths(base.points) / max(chord_lengths(base.points)[-1], 1e-9)
    orders = np.arange(1, NUM_WAVES + 1)
    shares = orders**-2.0 / np.sqrt((orders**-4.0).sum() / 2)
    waves = np.cos(np.pi * orders * along[:, None]) * shares @ random.standard_normal((NUM_WAVES, 2))
    moved = base.points + noise * base.length * waves
    return Curve(moved - moved.mean(axis=0), base.widths * varied(1.0, random))


def random_curve(random: np.random.Generator, *, length: float, width: float) -> Curve:
    """A spline through random control points, four to twenty: as long and as wide as asked, of a shape of no real defect."""
    points = random.uniform(-1, 1, (int(random.integers(NUM_CONTROL[0], NUM_CONTROL[1] + 1)), 2))
    curve = Curve(points, np.full(len(points), width))
    return Curve((points - points.mean(axis=0)) * length / max(curve.length, 1e-6), curve.widths)


def placed(curve: Curve, centre: tuple[float, float], turn: float, *, mirrored: bool = False) -> Curve:
    """A curve around (0, 0), mirrored, turned by ``turn`` (from x to y) and moved to ``centre``."""
    cos, sin = np.cos(turn), np.sin(turn)
    points = curve.points * np.array([-1.0, 1.0]) if mirrored else curve.points
    return Curve(points @ np.array([[cos, sin], [-sin, cos]]) + np.array(centre), curve.widths)


def between(first: Curve, second: Curve, share: float) -> Curve:
    """A curve between two, after both have as many points and lie and point the same way."""
    count = max(len(first.points), len(second.points))
    lines = [resampled(curve.dense()[0], count) for curve in (first, second)]
    widths = [np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(c.widths)), c.widths) for c in (first, second)]
    a, b = (line - line.mean(axis=0) for line in lines)
    left, _, right = np.linalg.svd(b.T @ a)
    rotation = (left @ right).T  # the nearest orthogonal map of b onto a (Procrustes), mirrors allowed
    mixed = (1 - share) * a + share * b @ rotation.T
    return Curve(mixed, (1 - share) * widths[0] + share * widths[1])


def is_simple(curve: Curve) -> bool:
    """Whether its rendering does not touch itself: the mask has no hole and its centre line is found again."""
    points, widths = curve.dense()
    low = points.min(axis=0) - widths.max() - 2
    size = np.ceil(points.max(axis=0) + widths.max() + 2 - low).astype(int)
    mask = rendered_mask(Curve(curve.points - low, curve.widths), (int(size[1]), int(size[0])))
    return bool(ndimage.label(~mask, BOARD_NEIGHBOURS)[1] == 1 and ndimage.label(mask, COPPER_NEIGHBOURS)[1] == 1)
