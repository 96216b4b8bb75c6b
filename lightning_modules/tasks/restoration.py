"""Inpainting: images that are known in part, completed by a generator, beside fills that need none."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least, check_choice
from generative.inversion.measurements import Masked
from generative.rendering.holes import holes
from generative.rendering.images import image_grid, pixel_scale, read_png, save_picture, side_by_side, to_pil, to_uint8
from generative.rendering.mask_files import MEANINGS, read_masks
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, ImageData, Invertible
from lightning_modules.tasks.arms import Arms, Filled
from lightning_modules.tasks.doubt import Answered, write_doubt
from lightning_modules.tasks.journal import Journal
from lightning_modules.tasks.originals import Originals, Source, labels_of_originals, open_source
from lightning_modules.tasks.samples import progress
from lightning_modules.tasks.search import Inversion, Targets, make_objective
from metrics.features import FromClassifier
from metrics.quality import restoration_scores

SHOWN = 16  # images of a large set that pictures have rows for
SCORES = {"psnr_hole": ".2f", "psnr_known": ".2f", "psnr_raw": ".2f", "psnr_pasted": ".2f", "ssim_pasted": ".3f"}


def inpaint(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    images: list[int] | int | str | None = None,
    count: int | None = 10,
    classes: list[int] | int | None = None,
    guess_classes: bool = False,
    fit: bool = False,
    masks: str | None = None,
    white: str = "missing",
    arms: list[str] | None = None,
    starts: int = 1,
    start: str = "nearest",
    held_out: float = 0.0,
    num_codes: int | None = None,
    layer: int | None = None,
    importance: bool | None = None,
    attention: str | None = None,
    steps: int = 200,
    rate: float | None = None,
    pixel: str = "l2",
    perceptual: float | None = None,
    batch_size: int = 16,
    seconds: float | None = None,
    deep_prior_steps: int = 3000,
    judge: list[Classifies] | None = None,
) -> list[Path]:
    """Images with holes, filled by each of ``arms`` from the known pixels alone: images, lines of scores, a table, a picture.

    ``images``: numbers in the test split or a path to files; without it the first test images, ``count`` of them (null: all).
    ``masks``: what is hidden, by a name such as blocks8_25pct, centre16, strokes3_12pct or text8 (by default blocks of a
    quarter of the side that hide 25 %), or a file for all images, or a folder with one for each by its name, where
    ``white`` is what is ``missing`` or ``known``. ``classes``, ``fit`` and the settings of the search as in `invert`;
    ``guess_classes``: look for the class as well, instead of taking that of the test image.

    ``arms``: fills, of which harmonic is the one to beat, and spaces of the method, by default its first. ``num_codes``,
    ``layer``, ``importance`` and ``attention`` are settings of a space that has them. ``starts``: so many searches for each
    image; their mean is the answer, and their spread is measured against its error. ``start`` of a search: the ``nearest``
    samples, ``random``, or where an ``encoder`` says. ``held_out``: a share of the known pixels by which a search ends, see
    `Inversion`. ``seconds``: the most that all searches take together, without those for classes. ``deep_prior_steps``: of
    that arm. ``judge``: a classifier's checkpoint, which names the filled images and in whose features they are compared. A
    folder with the results of a run that was broken off goes on from there.
    """
    check_choice("meaning of white", white, MEANINGS)
    check_at_least(1, starts=starts, batch_size=batch_size)
    if guess_classes and classes is not None:
        raise ValueError(f"classes={classes} says what guess_classes is to find: give one of them")
    objective = make_objective(method, pixel=pixel, perceptual=perceptual)
    own = {"num_codes": num_codes, "layer": layer, "importance": importance, "attention": attention}
    settings = {name: value for name, value in own.items() if value is not None}
    search: dict[str, Any] = {"steps": steps, "rate": rate, "start": start, "held_out": held_out}
    inversion = Inversion(method, objective, seed=seed, batch_size=batch_size * starts, settings=settings, **search)
    names = ["mean", "harmonic", method.space_names[0]] if arms is None else arms
    chosen = Arms(inversion, datamodule, names, restarts=starts, deep_prior_steps=deep_prior_steps)
    source, number = open_source(datamodule, images=images, count=count, fit=fit)
    hidden = hidden_by(masks, source, number, method.image_shape, white=white, seed=seed)
    facts = {"mask": hidden.name, "starts": starts, **search, "pixel": pixel, "perceptual": objective.perceptual}
    facts |= settings | generator_of(method) | {"classes": classes_in_words(method, images, classes, guess_classes)}
    judging = judge_of(method, judge)
    told = {"images": source.told, "masks": hidden.told, "seed": seed, "arms": names, "asked_classes": classes}
    told |= {"deep_prior_steps": deep_prior_steps, "seconds": seconds}
    told |= {"judge": None if judging is None else FromClassifier(judging).weights}
    labels = None if classes is None else labels_of_originals(method, None, classes, number)
    journal = Journal(output, "inpaint", facts=facts | told, arms=chosen.lines)
    work = Work(chosen, source, hidden, journal, facts, labels, not guess_classes, judging)
    work.run(batch_size, seconds=seconds)
    return [*work.pages(output), *work.doubts(output)]


@dataclass(frozen=True)
class Holes:
    """``known`` pixels of images, bool [N, 1, H, W], by a rule or from files called ``name``; ``told`` in full."""

    name: str
    known: Tensor
    told: str


def hidden_by(
    masks: str | None, source: Source, count: int, image_shape: tuple[int, int, int], *, white: str, seed: int
) -> Holes:
    """The holes of the first ``count`` images: by a rule's name and their numbers, or of a file or a folder of files."""
    _, height, width = image_shape
    rule = f"blocks{max(1, min(height, width) // 4)}_25pct" if masks is None else masks
    path = Path(rule).expanduser()
    if path.exists():
        known = read_masks(path, source.names[:count], height, width, white=white)
        return Holes(path.name, known, f"{path.resolve()}, white {white}")
    numbers = source.numbers[:count]
    return Holes(rule, holes(rule, max(numbers) + 1, height, width, seed=seed)[numbers], rule)


def generator_of(method: Invertible) -> dict[str, Any]:
    """What tells a generator from others: its run, and a short hash of the weights that draw."""
    config = method.run_config
    weights = hashlib.sha256()
    for parameter in method.tunable():
        weights.update(parameter.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return {
        "experiment": config.get("experiment_name"),
        "train_seed": method.seed,
        "kimg": method.images_seen / 1000,
        "generator": weights.hexdigest()[:12],
    }


def classes_in_words(method: Invertible, images: object, classes: object, guess_classes: bool) -> str:
    """Where the classes of the images come from."""
    if method.num_classes == 0:
        return "none"
    given = classes is not None or not isinstance(images, str)
    return "given" if given and not guess_classes else "found"


@dataclass(frozen=True)
class Work:
    """All images of a ``source`` with their ``hidden`` pixels, filled by ``arms`` and written down as they are done.

    ``labels`` [N] that were asked for; without them those of the images themselves where ``own_labels``.
    """

    arms: Arms
    source: Source
    hidden: Holes
    journal: Journal
    facts: dict[str, Any]
    labels: Tensor | None
    own_labels: bool
    judge: Classifies | None

    def run(self, batch_size: int, *, seconds: float | None) -> None:
        """What is not done yet, ``batch_size`` images at a time; all searches in at most ``seconds``."""
        done = self.journal.done()
        names = self.source.names[: len(self.hidden.known)]
        left = [place for place, name in enumerate(names) if name not in done]
        spent = 0.0
        with progress(len(names), "inpaint") as bar:
            bar.update(len(names) - len(left))
            for first in range(0, len(left), batch_size):
                places = left[first : first + batch_size]
                share = None
                if seconds is not None:  # a batch that is late has taken from the others, but leaves them a step
                    share = max(1e-9, seconds - spent) * len(places) / (len(left) - first)
                lines = list(self.filled(places, seconds=share))
                self.journal.append(lines)
                spent += sum(line["seconds"] for line in lines if line["arm"] in self.arms.spaces)
                bar.update(len(places))

    def filled(self, places: list[int], *, seconds: float | None) -> Iterator[dict[str, Any]]:
        """The lines of the images at some places, whose files are written before."""
        originals = self.originals(places)
        known = self.hidden.known[places]
        through = Masked(known.to(originals.images.device))
        numbers = torch.tensor([self.source.numbers[place] for place in places])
        targets = Targets(originals.images, originals.labels, through, numbers=numbers)
        targets = self.arms.inversion.with_classes(targets)
        whole = originals.images.cpu()
        for arm, found in self.arms.fill(targets, seconds=seconds).items():
            scores = scores_of(found, whole, known)
            pasted = torch.where(known, whole, found.images)
            if self.judge is not None:
                scores |= judged(self.judge, pasted, whole)
            for row, place in enumerate(places):
                name = self.source.names[place]
                self.write(pasted[row], arm, name)
                if arm in self.arms.method.space_names:
                    self.write(found.images[row], f"{arm}_raw", name)
                if found.answers.shape[1] > 1:
                    for number, answer in enumerate(found.answers[row]):
                        self.write(torch.where(known[row], whole[row], answer), f"answers/{arm}", f"{name}_{number}")
                values = {measure: of_images[row] for measure, of_images in scores.items()}
                facts = {
                    "hidden": int((~known[row]).sum()),
                    "seconds": found.seconds / len(places),
                    "steps_taken": found.steps,
                }
                yield {"image": name, "arm": arm, **values, **facts, **self.facts}

    def originals(self, places: Sequence[int]) -> Originals:
        """Images at some places with the labels that they are searched by."""
        method = self.arms.method
        images, own = self.source.read(method, places)
        if self.labels is not None:
            return Originals(images, self.labels[list(places)])
        return Originals(images, labels_of_originals(method, own, None, len(places)) if self.own_labels else None)

    def write(self, image: Tensor, folder: str, name: str) -> None:
        path = self.journal.path.parent / folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        to_pil(to_uint8(image)).save(path)

    def stored(self, folder: str, names: Sequence[str]) -> Tensor:
        """What :meth:`write` kept, [N, C, H, W] in [-1, 1]."""
        return torch.stack([read_png(self.journal.path.parent / folder / f"{name}.png") for name in names])

    def pages(self, output: Path) -> list[Path]:
        """The lines, the table of their means and the picture of the first images."""
        asked = self.source.names[: len(self.hidden.known)]
        lines = [line for line in self.journal.lines() if line["image"] in set(asked)]
        names, places = asked[:SHOWN], list(range(min(SHOWN, len(asked))))
        whole = self.source.read(self.arms.method, places).images.cpu()
        panels = [("original", whole), ("known", torch.where(self.hidden.known[places], whole, 0.0))]
        arms = list(dict.fromkeys(line["arm"] for line in lines))
        for arm in arms:
            shown = [f"{arm}_raw", arm] if arm in self.arms.method.space_names else [arm]
            panels += [(folder.replace("_", " "), self.stored(folder, names)) for folder in shown]
        scale = pixel_scale(whole.shape[2])
        sheet = side_by_side([(title, image_grid(shown, num_columns=1, scale=scale)) for title, shown in panels])
        table = output / "inpaint.md"
        table.write_text(table_of(lines))
        return [self.journal.path, table, save_picture(sheet, output, "inpaint.png")]

    def doubts(self, output: Path) -> list[Path]:
        """Of every search of two images or more with several answers: how well their spread says where they are wrong."""
        count = len(self.hidden.known)
        if self.arms.restarts == 1 or count < 2:
            return []
        written = []
        for arm in self.arms.lines:
            if (output / "answers" / arm).exists():
                written += write_doubt(output, arm, map(partial(self.answered, arm), range(count)), shown=SHOWN)
        return written

    def answered(self, arm: str, place: int) -> Answered:
        """An image with what an arm answered, as it was kept."""
        names = [f"{self.source.names[place]}_{number}" for number in range(self.arms.restarts)]
        original = self.source.read(self.arms.method, [place]).images[0].cpu()
        return Answered(original, self.stored(f"answers/{arm}", names), self.hidden.known[place])


def judge_of(method: Invertible, judge: list[Classifies] | None) -> Classifies | None:
    """The one classifier that is given, if any; ValueError where it takes other images."""
    if judge is None:
        return None
    if len(judge) != 1:
        raise ValueError(f"judge takes one checkpoint, got {len(judge)}")
    if judge[0].image_shape != method.image_shape:
        raise ValueError(
            f"the judge takes images {judge[0].image_shape}, and the checkpoint draws {method.image_shape}"
        )
    return judge[0]


@torch.no_grad()
def judged(judge: Classifies, images: Tensor, originals: Tensor) -> dict[str, list[float]]:
    """Of each image: whether the judge names it as its original, 1 or 0, and how far its features are from the original's.

    The distance is in units of the length of the original's.
    """
    found, own = (judge.features(part.to(judge.device)) for part in (images, originals))
    alike = judge.classify(found).argmax(dim=1) == judge.classify(own).argmax(dim=1)
    distance = (found - own).norm(dim=1) / own.norm(dim=1)
    return {"named_alike": alike.double().tolist(), "feature_distance": distance.tolist()}


def scores_of(found: Filled, originals: Tensor, known: Tensor) -> dict[str, list[float]]:
    """The scores of each image of a batch by name; of several answers also ``psnr_hole_single``, the mean of theirs."""
    pair = to_uint8(originals), known
    scores = {name: values.tolist() for name, values in restoration_scores(to_uint8(found.images), *pair).items()}
    answers = found.answers.unbind(dim=1)
    if len(answers) > 1:
        each = torch.stack([restoration_scores(to_uint8(answer), *pair)["psnr_hole"] for answer in answers])
        scores["psnr_hole_single"] = each.mean(dim=0).tolist()
    return scores


def table_of(lines: Sequence[dict[str, Any]]) -> str:
    """In Markdown: a row an arm, means over images.

    A hole over a plain ground counts as 100 dB, so the median and the pooled PSNR stand beside.
    """
    rows = []
    for arm in dict.fromkeys(line["arm"] for line in lines):
        own = [line for line in lines if line["arm"] == arm]
        holes_of = [line["psnr_hole"] for line in own]
        pixels = sum(line["hidden"] for line in own)
        pooled = sum(line["hidden"] * 10 ** (-line["psnr_hole"] / 10) for line in own) / pixels
        means = [fmean(line[name] for line in own) if name in own[0] else math.nan for name in SCORES]
        cells = [
            "-" if math.isnan(value) else format(value, form)
            for value, form in zip(means, SCORES.values(), strict=True)
        ]
        middle = [f"{median(holes_of):.2f}", f"{-10 * math.log10(max(pooled, 1e-10)):.2f}"]
        rows.append([arm, cells[0], *middle, *cells[1:], f"{fmean(line['seconds'] for line in own):.3f}"])
    titles = (
        "arm",
        "hole, dB",
        "its median",
        "pooled",
        "known, dB",
        "raw, dB",
        "pasted, dB",
        "SSIM pasted",
        "seconds an image",
    )
    return markdown(titles, rows)
