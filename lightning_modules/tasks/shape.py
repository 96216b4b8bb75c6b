"""Is it shape? Tests of any classifier: turned, scaled and sheared objects, patches out of place, shape against texture.

None is a test of the chapter, which claims shape awareness from its maps alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor

from generative.precision import full_precision
from generative.randomness import Stream
from generative.rendering.images import image_grid, saved, shown_scale, side_by_side
from generative.rendering.patches import patch_orders, shuffled
from lightning_modules.base import ImageData
from lightning_modules.classification import Classification
from lightning_modules.dgm.maps import decisions, named_models, training_of
from lightning_modules.dgm.module import DGMClassifier
from lightning_modules.dgm.tasks import write_lines
from lightning_modules.tasks.held_out import held_out, some_numbers

FILLS = {"reflection": "reflection", "grey": "zeros"}  # what comes in at the border -> its name in torch
ROTATIONS = (0.0, 15.0, 30.0, 60.0, 90.0)  # degrees, counter-clockwise
SCALES = (0.6, 0.8, 1.0, 1.2, 1.4)
SHEARS = (0.0, 0.1, 0.2, 0.3, 0.4)
PATCHES = (1, 2, 4)  # a side
CUE_CONFLICT = "cue conflict, phase against amplitude"
BATCH = 128
SHOWN = 4  # images of the picture of examples

Distort = Callable[[Tensor, Tensor], Tensor]  # images [B, C, H, W], their numbers [B] -> images


class Point(NamedTuple):
    """One model on one test: of ``num_images`` it names ``correct`` rightly; the interval is Wilson's at 95 %."""

    model: str
    test: str
    amount: float
    accuracy: float
    low: float
    high: float
    num_images: int


class Cues(NamedTuple):
    """Decisions on images with the phase of one and the amplitudes of another, of another class, as shares of ``num_images``.

    ``shape_bias`` is phase / (phase + amplitude), None where neither is ever named. ``of``: ``all`` pairs, or those whose
    two originals the model names ``rightly``.
    """

    model: str
    of: str
    phase: float | None
    amplitude: float | None
    neither: float | None
    shape_bias: float | None
    num_images: int


def rotation(degrees: float) -> Tensor:
    """Of offsets (x to the right, y down) from the centre, counter-clockwise as seen: [2, 2] in float64."""
    angle = math.radians(degrees)
    return torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64)


def scaling(factor: float) -> Tensor:
    """Objects ``factor`` times as large."""
    return factor * torch.eye(2, dtype=torch.float64)


def shearing(amount: float) -> Tensor:
    """(x, y) -> (x + amount y, y)."""
    return torch.tensor([[1.0, amount], [0.0, 1.0]], dtype=torch.float64)


def moved(images: Tensor, matrix: Tensor, *, fill: str) -> Tensor:
    """Images [B, C, H, W] whose point p from the centre, in pixels, goes to ``matrix`` p: bilinear, the border ``fill``."""
    if fill not in FILLS:
        raise ValueError(f"unknown fill {fill!r}: choose one of {', '.join(FILLS)}")
    height, width = images.shape[2:]
    halves = torch.tensor([width, height], dtype=torch.float64)
    # A pixel of the result asks where it came from, in halves of a side.
    back = torch.linalg.inv(matrix) * halves / halves[:, None]
    theta = F.pad(back, (0, 1)).expand(len(images), -1, -1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    # In double: in float positions err by enough to blur what a turn by 90 degrees leaves sharp.
    turned = F.grid_sample(images.double(), grid, mode="bilinear", padding_mode=FILLS[fill], align_corners=False)
    return turned.to(images.dtype)


def with_amplitudes_of(images: Tensor, others: Tensor) -> Tensor:
    """Images [B, C, H, W] in [-1, 1] with their own phases and the others' amplitudes (Oppenheim and Lim 1981).

    Each channel's Fourier transform, of values in [0, 1] so that the mean is an amplitude and not a sign; what leaves
    [-1, 1] is clamped.
    """
    own, other = (torch.fft.fft2((x.double() + 1) / 2) for x in (images, others))
    mixed = torch.fft.ifft2(torch.polar(other.abs(), own.angle())).real
    return (2 * mixed - 1).clamp(-1, 1).to(images.dtype)


def partners(numbers: Tensor, labels: Tensor, *, seed: int) -> Tensor:
    """For each image the place, among these, of one of another class: int64 [N], drawn for the image's number.

    ValueError where all are of one class.
    """
    stream = Stream(seed, "partners")
    found = []
    for number, label in zip(numbers.tolist(), labels.tolist(), strict=True):
        others = (labels != label).nonzero()[:, 0]
        if not len(others):
            raise ValueError("all of these images are of one class, and textures come from another: raise count")
        found.append(others[stream.integers(number, 1, high=len(others))])
    return torch.cat(found)


def turned_by(matrix: Tensor, fill: str) -> Distort:
    return lambda images, numbers: moved(images, matrix, fill=fill)


def patches_moved(side: int, seed: int) -> Distort:
    return lambda images, numbers: shuffled(images, patch_orders(numbers, side, seed=seed))


def distortions(*, seed: int, fill: str) -> Iterator[tuple[str, float, Distort]]:
    """Every test and its amount, the undistorted one among the amounts of each."""
    for test, amounts, matrix in (
        ("rotation", ROTATIONS, rotation),
        ("scale", SCALES, scaling),
        ("shear", SHEARS, shearing),
    ):
        for amount in amounts:
            yield test, amount, turned_by(matrix(amount), fill)
    for side in PATCHES:
        unmoved: Distort = lambda images, numbers: images  # noqa: E731 - of one patch
        yield "patches", float(side), patches_moved(side, seed) if side > 1 else unmoved


def measured(name: str, test: str, amount: float, right: Tensor) -> Point:
    """The accuracy of decisions that are ``right`` or not, [N]."""
    count, correct = len(right), int(right.sum())
    interval = binomtest(correct, count).proportion_ci(confidence_level=0.95, method="wilson")
    return Point(name, test, amount, correct / count, float(interval.low), float(interval.high), count)


def cue_shares(name: str, of: str, named: Tensor, shape: Tensor, texture: Tensor) -> Cues:
    """Classes [N] named of mixed images against those of their phases and of their amplitudes, which differ."""
    count = len(named)
    by_phase, by_amplitude = int((named == shape).sum()), int((named == texture).sum())
    if count == 0:
        return Cues(name, of, None, None, None, None, 0)
    decided = by_phase + by_amplitude
    neither = (count - decided) / count
    bias = by_phase / decided if decided else None
    return Cues(name, of, by_phase / count, by_amplitude / count, neither, bias, count)


def all_decisions(model: Classification, data: ImageData, numbers: Tensor, distort: Distort) -> Tensor:
    """The class named of each distorted test image, [N]; a batch of them in memory at a time."""
    with full_precision(model.device.type):
        return torch.cat([decisions(model, distort(held_out(data, some)[0], some)) for some in numbers.split(BATCH)])


def measure(
    models: Mapping[str, Classification], data: ImageData, numbers: Tensor, *, seed: int, fill: str
) -> tuple[list[Point], list[Cues]]:
    """All tests of all models on the same distorted images."""
    labels = data.split("test")[1][numbers]
    partner = partners(numbers, labels, seed=seed)
    other_numbers = dict(zip(numbers.tolist(), numbers[partner].tolist(), strict=True))

    def mixed(images: Tensor, some: Tensor) -> Tensor:
        return with_amplitudes_of(images, held_out(data, torch.tensor([other_numbers[n] for n in some.tolist()]))[0])

    points, cues = [], []
    for name, model in models.items():
        for test, amount, distort in distortions(seed=seed, fill=fill):
            right = all_decisions(model, data, numbers, distort) == labels
            points.append(measured(name, test, amount, right))
            if (test, amount) == ("patches", 1.0):
                named_rightly = right  # of the images as they are
        named = all_decisions(model, data, numbers, mixed)
        both = named_rightly & named_rightly[partner]
        cues.append(cue_shares(name, "all", named, labels, labels[partner]))
        cues.append(cue_shares(name, "rightly", named[both], labels[both], labels[partner][both]))
    return points, cues


def shape(
    method: DGMClassifier,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    baselines: list[Classification] | None = None,
    count: int | None = 1000,
    fill: str = "reflection",
) -> list[Path]:
    """Accuracy under distortions that leave or destroy shape, and whether phase or amplitudes decide; for all checkpoints.

    ``count`` test images (null: all), the same for all; ``fill`` is what comes in at the border, ``reflection`` or ``grey``.
    Tables, JSON lines, curves, and a picture of what was shown.
    """
    models = named_models(method, baselines)
    numbers = some_numbers(datamodule, count, seed=seed)
    written = [examples(datamodule, numbers[:SHOWN], numbers, output, seed=seed, fill=fill)]
    points, cues = measure(models, datamodule, numbers, seed=seed, fill=fill)
    facts = {"data": datamodule.name, "seed": seed, "fill": fill, "resolution": list(method.image_shape[1:])}
    trained = {name: training_of(model) for name, model in models.items()}
    rows: list[Mapping[str, Any]] = [{**row._asdict(), **trained[row.model], **facts} for row in points]
    rows += [{"test": CUE_CONFLICT, **row._asdict(), **trained[row.model], **facts} for row in cues]
    table = output / "shape.md"
    table.write_text(in_words(points, cues, list(models), data=datamodule.name, fill=fill))
    return [*written, write_lines(rows, output / "shape.jsonl"), table, curves(points, output / "shape.png")]


def in_words(points: Sequence[Point], cues: Sequence[Cues], models: Sequence[str], *, data: str, fill: str) -> str:
    """Two tables in Markdown."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    of = {(point.test, point.amount, point.model): point for point in points}
    lines = [
        f"Accuracy on {points[0].num_images} test images of {data} and Wilson's 95 % interval. Rotations in degrees, "
        f"counter-clockwise; about the centre, bilinear, border by {fill}; patches a side.",
        "",
        f"| test | amount | {' | '.join(models)} |",
        f"|---|---|{'---|' * len(models)}",
    ]
    for test, amount in dict.fromkeys((point.test, point.amount) for point in points):
        cells = [of[test, amount, model] for model in models]
        texts = [f"{cell.accuracy:.3f} [{cell.low:.3f}, {cell.high:.3f}]" for cell in cells]
        lines.append(f"| {test} | {amount:g} | {' | '.join(texts)} |")
    lines += [
        "",
        "Cue conflict: phase of one image, amplitude spectrum of another of another class (Oppenheim and Lim 1981). Not the "
        "stylised images of Geirhos et al. (2019): compare models with each other, not with published shape biases.",
        "",
        "| model | pairs | for the phase | for the amplitude | for neither | phase / (phase + amplitude) | count |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in cues:
        pairs = "all" if row.of == "all" else "both originals named rightly"
        values = " | ".join(share(v) for v in (row.phase, row.amplitude, row.neither, row.shape_bias))
        lines.append(f"| {row.model} | {pairs} | {values} | {row.num_images} |")
    return "\n".join(lines) + "\n"


def curves(points: Sequence[Point], path: Path) -> Path:
    """A panel a test, a line a model with its interval."""
    from matplotlib.figure import Figure  # a second that no other task waits for

    tests = list(dict.fromkeys(point.test for point in points))
    figure = Figure(figsize=(4 * len(tests), 3.4), layout="constrained")
    for axes, test in zip(figure.subplots(1, len(tests), sharey=True), tests, strict=True):
        for model in dict.fromkeys(point.model for point in points):
            line = [point for point in points if (point.test, point.model) == (test, model)]
            amounts = [point.amount for point in line]
            axes.plot(amounts, [point.accuracy for point in line], marker="o", label=model)
            axes.fill_between(amounts, [point.low for point in line], [point.high for point in line], alpha=0.2)
        axes.set_xlabel({"rotation": "rotation, degrees", "patches": "patches a side"}.get(test, test))
        axes.set_xticks(amounts)
        axes.set_ylim(0, 1)
    figure.axes[0].set_ylabel("accuracy")
    figure.axes[0].legend()
    figure.savefig(path, dpi=100)
    return path


def examples(data: ImageData, some: Tensor, numbers: Tensor, output: Path, *, seed: int, fill: str) -> Path:
    """The first images as each test shows them, at its largest amount, and what the mixed ones were mixed of."""
    images, _ = held_out(data, some)
    partner = partners(numbers, data.split("test")[1][numbers], seed=seed)[: len(some)]
    others, _ = held_out(data, numbers[partner])
    draw = partial(image_grid, num_columns=1, scale=shown_scale(images.shape[2]))
    largest = {test: (amount, distort) for test, amount, distort in distortions(seed=seed, fill=fill)}
    panels: list[tuple[str, Image.Image]] = [("image", draw(images))]
    panels += [(f"{test} {amount:g}", draw(distort(images, some))) for test, (amount, distort) in largest.items()]
    panels += [("other", draw(others)), ("its amplitudes", draw(with_amplitudes_of(images, others)))]
    return saved(side_by_side(panels), output, "shape_examples.png")
