"""Inpainting: images that are known in part, completed by a generator, beside fills that need none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least, check_choice
from generative.errors import PartlyDone
from generative.inversion.measurements import Masked
from generative.inversion.search import Allowance
from generative.inversion.tuning import Tuning
from generative.rendering.holes import holes
from generative.rendering.images import image_grid, pixel_scale, read_png, save_picture, side_by_side, to_pil, to_uint8
from generative.rendering.mask_files import MEANINGS, read_masks
from lightning_modules.base import Classifies, ImageData, Invertible
from lightning_modules.tasks.arms import ENCODER, Arms, Filled
from lightning_modules.tasks.doubt import Answered, write_doubt
from lightning_modules.tasks.hole_scores import judge_of, judged, scores_of, table_of
from lightning_modules.tasks.journal import Journal
from lightning_modules.tasks.originals import Originals, Source, labels_of_originals, open_source
from lightning_modules.tasks.samples import progress
from lightning_modules.tasks.search import Inversion, Targets, make_objective
from metrics.features import FromClassifier

SHOWN = 16  # images of a large set that pictures have rows for


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
    tuning_steps: int = 0,
    tuning_rate: float | None = None,
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
    `Inversion`. ``tuning_steps``: so many by which weights of each image's own follow what a search found, at
    ``tuning_rate``; the arms ``<space>_tuned`` are what these draw. ``seconds``: the most that all searches take together, with
    those for classes, the samples that they start from, and tuning. ``deep_prior_steps``: of that arm. ``judge``: a
    classifier's checkpoint, which names the filled images and in whose features they are compared.

    An image that cannot be read, or that an arm cannot fill, costs no other one anything: its lines say why under ``failed``,
    and a sentence at the end how many these are. A folder with the results of a run that was broken off goes on from there,
    and reads again what could not be read. ValueError where no image could be filled at all.
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
    tuning = Tuning.asked(tuning_steps, tuning_rate)
    own_weights = tuning if tuning.steps > 0 else None
    chosen = Arms(inversion, datamodule, names, restarts=starts, deep_prior_steps=deep_prior_steps, tuning=own_weights)
    source, number = open_source(datamodule, images=images, count=count, fit=fit)
    hidden = hidden_by(masks, source, number, method.image_shape, white=white, seed=seed)
    facts = {"mask": hidden.name, "starts": starts, **search, "pixel": pixel, "perceptual": objective.perceptual}
    if own_weights is not None:  # a folder from before there was any goes on without
        facts |= {"tuning_steps": tuning.steps, "tuning_rate": tuning.rate}
    facts |= settings | generator_of(method) | {"classes": classes_in_words(method, images, classes, guess_classes)}
    judging = judge_of(method, judge)
    told = {"images": source.told, "masks": hidden.told, "seed": seed, "arms": names, "asked_classes": classes}
    told |= {"deep_prior_steps": deep_prior_steps, "seconds": seconds}
    if method.encodes and (ENCODER in names or start == ENCODER):
        told |= {"encoder": weights_mark(method.parameters())}
    told |= {"judge": None if judging is None else FromClassifier(judging).weights}
    labels = None if classes is None else labels_of_originals(method, None, classes, number)
    journal = Journal(output, "inpaint", facts=facts | told, arms=chosen.lines)
    work = Work(chosen, source, hidden, journal, facts, labels, not guess_classes, judging)
    work.run(batch_size, seconds=seconds)
    failed = work.what_failed()
    files = [*work.pages(output), *work.doubts(output)]
    if failed:
        raise PartlyDone(failed, files)
    return files


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
    return {
        "experiment": method.run_config.get("experiment_name"),
        "train_seed": method.seed,
        "kimg": method.images_seen / 1000,
        "generator": weights_mark(method.tunable()),
    }


def weights_mark(parameters: Iterable[Tensor]) -> str:
    """A short hash of weights."""
    found = hashlib.sha256()
    for parameter in parameters:
        found.update(parameter.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:12]


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
        names = self.asked
        left = [place for place, name in enumerate(names) if name not in done]
        allowance = Allowance(seconds, len(left))
        with progress(len(names), "inpaint") as bar:
            bar.update(len(names) - len(left))
            for first in range(0, len(left), batch_size):
                asked = left[first : first + batch_size]
                places, originals, unread = self.readable(asked)
                lines = [self.failure(place, None, reason) for place, reason in unread.items()]
                if originals is not None:
                    lines += self.filled(places, originals, allowance)
                self.journal.append(lines)
                bar.update(len(asked))

    def readable(self, places: list[int]) -> tuple[list[int], Originals | None, dict[int, str]]:
        """Those of some places whose images can be read, these images, and of the others why not: one file may be damaged."""
        try:
            return places, self.originals(places), {}
        except ValueError as error:
            if len(places) == 1:
                return [], None, {places[0]: str(error)}
        reasons = {place: reason for one in places for place, reason in self.readable([one])[2].items()}
        rest = [place for place in places if place not in reasons]
        return rest, self.originals(rest) if rest else None, reasons

    def failure(self, place: int, arm: str | None, reason: str) -> dict[str, Any]:
        """The line of an image of which an ``arm`` made nothing, or none of them."""
        return {"image": self.source.names[place], "arm": arm, "failed": reason, **self.facts}

    def filled(self, places: list[int], originals: Originals, allowance: Allowance) -> Iterator[dict[str, Any]]:
        """The lines of the images at some places, whose files are written before."""
        known = self.hidden.known[places]
        through = Masked(known.to(originals.images.device))
        numbers = torch.tensor([self.source.numbers[place] for place in places])
        targets = Targets(originals.images, originals.labels, through, numbers=numbers)
        whole = originals.images.cpu()
        for arm, found in self.arms.fill(targets, allowance=allowance).items():
            yield from (self.failure(places[row], arm, reason) for row, reason in found.refused.items())
            if rows := [row for row in range(len(places)) if row not in found.refused]:
                yield from self.scored(arm, found, [places[row] for row in rows], whole[rows], known[rows])

    def scored(
        self, arm: str, found: Filled, places: list[int], whole: Tensor, known: Tensor
    ) -> Iterator[dict[str, Any]]:
        """The lines of what an arm made of the images ``whole`` [B, C, H, W] at some places."""
        scores = scores_of(found, whole, known)
        pasted = torch.where(known, whole, found.images)
        if self.judge is not None:
            scores |= judged(self.judge, pasted, whole)
        for row, place in enumerate(places):
            name = self.source.names[place]
            self.write(pasted[row], arm, name)
            if arm in self.arms.drawn:
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

    def stored(self, folder: str, name: str) -> Tensor:
        """What :meth:`write` kept, [C, H, W] in [-1, 1]."""
        return read_png(self.journal.path.parent / folder / f"{name}.png")

    @property
    def asked(self) -> list[str]:
        """The names of the images, by their places; a folder may hold the results of more."""
        return self.source.names[: len(self.hidden.known)]

    def lines(self) -> list[dict[str, Any]]:
        """Those of the images asked for."""
        asked = set(self.asked)
        return [line for line in self.journal.lines() if line["image"] in asked]

    def pages(self, output: Path) -> list[Path]:
        """The lines, the table of their means and the picture of the first images, black where an arm made nothing."""
        lines = [line for line in self.lines() if "failed" not in line]
        filled = {(line["arm"], line["image"]) for line in lines}
        images = {image for _, image in filled}
        places = [place for place, name in enumerate(self.asked) if name in images][:SHOWN]
        whole = self.source.read(self.arms.method, places).images.cpu()
        panels = [("original", whole), ("known", torch.where(self.hidden.known[places], whole, 0.0))]
        for arm in dict.fromkeys(line["arm"] for line in lines):
            for folder in [f"{arm}_raw", arm] if arm in self.arms.drawn else [arm]:
                tiles = torch.full_like(whole, -1.0)
                for tile, place in zip(tiles, places, strict=True):
                    if (arm, self.asked[place]) in filled:
                        tile.copy_(self.stored(folder, self.asked[place]))
                panels.append((folder.replace("_", " "), tiles))
        scale = pixel_scale(whole.shape[2])
        sheet = side_by_side([(title, image_grid(shown, num_columns=1, scale=scale)) for title, shown in panels])
        table = output / "inpaint.md"
        table.write_text(table_of(lines))
        return [self.journal.path, table, save_picture(sheet, output, "inpaint.png")]

    def what_failed(self) -> str:
        """A sentence on the images that an arm made nothing of, empty without any; ValueError where no arm filled one."""
        lines = self.lines()
        failed = [line for line in lines if "failed" in line]
        if not failed:
            return ""
        first = failed[0]
        by = "" if first["arm"] is None else f" by {first['arm']}"
        told = f"the first is {first['image']}{by}: {first['failed']}"
        if len(failed) == len(lines):
            raise ValueError(f"none of {len(self.asked)} images could be filled; {told}")
        count = len({line["image"] for line in failed})
        return (
            f"{count} of {len(self.asked)} images could not be filled by all arms, and the rest is done; {told} "
            f"({self.journal.path} has each under failed)"
        )

    def doubts(self, output: Path) -> list[Path]:
        """Of every search of two images or more with several answers: how well their spread says where they are wrong."""
        if self.arms.restarts == 1:
            return []
        lines, written = self.lines(), list[Path]()
        for arm in self.arms.lines:
            filled = {line["image"] for line in lines if line["arm"] == arm and "failed" not in line}
            places = [place for place, name in enumerate(self.asked) if name in filled]
            if len(places) > 1 and (output / "answers" / arm).exists():
                written += write_doubt(output, arm, map(partial(self.answered, arm), places), shown=SHOWN)
        return written

    def answered(self, arm: str, place: int) -> Answered:
        """An image with what an arm answered, as it was kept."""
        answers = [
            self.stored(f"answers/{arm}", f"{self.asked[place]}_{number}") for number in range(self.arms.restarts)
        ]
        original = self.source.read(self.arms.method, [place]).images[0].cpu()
        return Answered(original, torch.stack(answers), self.hidden.known[place])
