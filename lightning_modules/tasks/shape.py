"""Is it shape? Tests of any classifier: turned, scaled and sheared objects, patches out of place, shape against texture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generative.precision import full_precision
from generative.randomness import Stream
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from generative.rendering.patches import patch_orders, shuffle_patches
from generative.rendering.spectra import with_amplitudes_of
from generative.rendering.warping import rotation, scaling, shearing, warped
from lightning_modules.base import Classifies, ImageData
from lightning_modules.tasks.compared_models import decisions, named_models, training_of
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.tables import write_lines
from metrics.cue_conflict import Cues, cue_shares
from metrics.intervals import wilson

ROTATIONS = (0.0, 15.0, 30.0, 60.0, 90.0)  # degrees, counter-clockwise
SCALES = (0.6, 0.8, 1.0, 1.2, 1.4)
SHEARS = (0.0, 0.1, 0.2, 0.3, 0.4)
PATCHES = (1, 2, 4)  # a side
CUE_CONFLICT = "cue conflict, phase against amplitude"
BATCH = 128
SHOWN = 4  # images of the picture of examples

Distort = Callable[[Tensor, Tensor], Tensor]  # images [B, C, H, W], their numbers [B] -> images


class Accuracy(NamedTuple):
    """The accuracy of one model on ``num_images`` images of one test, and its interval at 95 %."""

    model: str
    test: str
    amount: float
    accuracy: float
    low: float
    high: float
    num_images: int


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


def warped_by(matrix: Tensor, fill: str) -> Distort:
    return lambda images, numbers: warped(images, matrix, fill=fill)


def patches_shuffled(side: int, seed: int) -> Distort:
    return lambda images, numbers: shuffle_patches(images, patch_orders(numbers, side, seed=seed))


def distortions(*, seed: int, fill: str) -> Iterator[tuple[str, float, Distort]]:
    """Every test and its amount, the undistorted one among the amounts of each."""
    for test, amounts, matrix in (
        ("rotation", ROTATIONS, rotation),
        ("scale", SCALES, scaling),
        ("shear", SHEARS, shearing),
    ):
        for amount in amounts:
            yield test, amount, warped_by(matrix(amount), fill)
    for side in PATCHES:
        unmoved: Distort = lambda images, numbers: images  # noqa: E731 - of one patch
        yield "patches", float(side), patches_shuffled(side, seed) if side > 1 else unmoved


def accuracy_on(name: str, test: str, amount: float, right: Tensor) -> Accuracy:
    """The accuracy of the model ``name`` from bools [N]: whether it was ``right`` about each image."""
    return Accuracy(name, test, amount, *wilson(int(right.sum()), len(right)), len(right))


def all_decisions(model: Classifies, data: ImageData, numbers: Tensor, distort: Distort) -> Tensor:
    """The class named of each distorted test image, [N]; a batch of them in memory at a time."""
    with full_precision(model.device.type):
        return torch.cat([decisions(model, distort(held_out(data, some)[0], some)) for some in numbers.split(BATCH)])


def measure_shape(
    models: Mapping[str, Classifies], data: ImageData, numbers: Tensor, *, seed: int, fill: str
) -> tuple[list[Accuracy], list[Cues]]:
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
            points.append(accuracy_on(name, test, amount, right))
            if (test, amount) == ("patches", 1.0):
                named_rightly = right  # of the images as they are
        named = all_decisions(model, data, numbers, mixed)
        both = named_rightly & named_rightly[partner]
        cues.append(cue_shares(name, "all", named, labels, labels[partner]))
        cues.append(cue_shares(name, "rightly", named[both], labels[both], labels[partner][both]))
    return points, cues


def shape(
    method: Classifies,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    baselines: list[Classifies] | None = None,
    count: int | None = 1000,
    fill: str = "reflection",
) -> list[Path]:
    """Accuracy under distortions that leave or destroy shape, and whether phase or amplitudes decide; for all checkpoints.

    ``count`` test images (null: all), the same for all; ``fill`` is what comes in at the border, ``reflection`` or ``grey``.
    Tables, JSON lines, curves, and a picture of what was shown.
    """
    models = named_models(method, baselines)
    numbers = some_numbers(datamodule, count, seed=seed)
    written = [save_examples(datamodule, numbers[:SHOWN], numbers, output, seed=seed, fill=fill)]
    points, cues = measure_shape(models, datamodule, numbers, seed=seed, fill=fill)
    facts = {"data": datamodule.name, "seed": seed, "fill": fill, "resolution": list(method.image_shape[1:])}
    trained = {name: training_of(model) for name, model in models.items()}
    rows: list[Mapping[str, Any]] = [{**row._asdict(), **trained[row.model], **facts} for row in points]
    rows += [{"test": CUE_CONFLICT, **row._asdict(), **trained[row.model], **facts} for row in cues]
    table = output / "shape.md"
    table.write_text(
        accuracy_table(points, list(models), data=datamodule.name, fill=fill) + "\n" + cue_conflict_table(cues)
    )
    return [*written, write_lines(rows, output / "shape.jsonl"), table, save_curves(points, output / "shape.png")]


def accuracy_table(points: Sequence[Accuracy], models: Sequence[str], *, data: str, fill: str) -> str:
    """In Markdown: a row a test and amount, a column a model."""
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
    return "\n".join(lines) + "\n"


def cue_conflict_table(cues: Sequence[Cues]) -> str:
    """In Markdown: what decided, a row a model and choice of pairs."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    lines = [
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


def save_curves(points: Sequence[Accuracy], path: Path) -> Path:
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


def save_examples(data: ImageData, some: Tensor, numbers: Tensor, output: Path, *, seed: int, fill: str) -> Path:
    """The first images as each test shows them, at its largest amount, and what the mixed ones were mixed of."""
    images, _ = held_out(data, some)
    partner = partners(numbers, data.split("test")[1][numbers], seed=seed)[: len(some)]
    others, _ = held_out(data, numbers[partner])
    draw = partial(image_grid, num_columns=1, scale=pixel_scale(images.shape[2]))
    largest = {test: (amount, distort) for test, amount, distort in distortions(seed=seed, fill=fill)}
    panels = [("image", draw(images))]
    panels += [(f"{test} {amount:g}", draw(distort(images, some))) for test, (amount, distort) in largest.items()]
    panels += [("other", draw(others)), ("its amplitudes", draw(with_amplitudes_of(images, others)))]
    return save_picture(side_by_side(panels), output, "shape_examples.png")
