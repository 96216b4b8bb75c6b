"""How many draws the two checks of section 3.3 take, by class: Table 2, with the rate at which real images pass beside it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.latents.confidence import log_odds
from generative.randomness import Stream
from generative.rendering.tables import markdown
from lightning_modules.base import ImageData
from lightning_modules.regene.drawing import FILTERED, NONE_HELD_OUT, Checked, GaveUp
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.samplers import facts_of
from lightning_modules.tasks.tables import write_lines

TITLES = ("class", "latents", "images", "kept", "images kept", "real images that pass")


def trials(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    count: int = 500,
    sampler: str = "convex_2",
    accept: float | None = None,
) -> list[Path]:
    """For ``count`` images of each class: the latents drawn until so many pass the first check, and the images drawn until
    so many pass the second, by ``sampler``. Table 2 has 500 images a class of two sources.

    A class that gives up after ``max_tries`` of an image states what it had by then, and fewer images kept. Beside it the
    share of real test images that both checks let pass: a threshold that is a mean refuses many of them.
    With ``accept`` the second check lets the same share of the held-out images of every class pass, so that classifiers of
    unlike confidence can be compared: see :func:`lightning_modules.regene.drawing.thresholds`.
    """
    check_at_least(1, count=count)
    method.use_sampling(sampler.removesuffix(FILTERED) + FILTERED)
    limits = limits_of(method, datamodule, accept)
    rows: list[dict[str, Any]] = []
    facts = facts_of(method, seed=seed)
    for label, real in enumerate(real_rates(method, datamodule, limits)):
        asked = facts | {"sampler": sampler, "accept": accept, "count": count, "threshold": float(limits[label])}
        rows.append(asked | row_of(method, label, count, limits, seed=seed) | {"real_rate": real})
    table = output / "trials.md"
    written = write_lines(rows, output / "trials.jsonl")
    table.write_text(f"Thresholds: {rule(accept)}.\n\n{trials_table(rows)}")
    return [written, table]


def limits_of(method: ReGene, datamodule: ImageData, accept: float | None) -> Tensor:
    """The log-odds of the second check, [classes]; ValueError where no images are held out."""
    if accept is None:
        return method.thresholds
    found = method.thresholds_of(datamodule, accept=accept)
    if found is None:
        raise ValueError(NONE_HELD_OUT)
    return found


def rule(accept: float | None) -> str:
    """How the thresholds were set, in words."""
    if accept is None:
        return "the mean confidence in the held-out images of the class"
    return f"the log-odds that {100 * accept:g} % of the held-out images of the class reach"


def row_of(method: ReGene, label: int, count: int, limits: Tensor, *, seed: int) -> dict[str, Any]:
    labels = torch.full((count,), label)
    seen = {"images": 0, "kept": 0}

    def watch(checked: Checked) -> None:
        seen["images"] += int(checked.latents_pass.sum())
        seen["kept"] += int((checked.latents_pass & checked.images_pass).sum())

    with suppress(GaveUp):  # the row says how few were kept
        method.sampled(range(count), labels, seed=seed, watch=watch, limits=limits)
    return {"class": label, "latents": latent_tries(method, labels, seed=seed), **seen}


@torch.no_grad()
def latent_tries(method: ReGene, labels: Tensor, *, seed: int) -> int:
    """Latents drawn until each of the images 0 .. B - 1 of the classes ``labels`` [B] has one that the classifier names so.

    At most ``max_tries`` each.
    """
    sampler = method.sampler(str(method.sampling).removesuffix(FILTERED))
    stream, pending, tries = Stream(seed, "regene"), list(range(len(labels))), 0
    for attempt in range(method.max_tries):
        drawn = sampler.draw(pending, labels[pending], stream.branch(f"try {attempt}"))
        named = method.classify(method.placed(drawn.latents)).argmax(dim=1).cpu()
        tries += len(pending)
        pending = [
            number
            for number, is_right in zip(pending, (named == labels[pending]).tolist(), strict=True)
            if not is_right
        ]
        if not pending:
            break
    return tries


@torch.no_grad()
def real_rates(method: ReGene, datamodule: ImageData, limits: Tensor) -> list[float]:
    """Of each class the share of its test images that both checks let pass, at the log-odds ``limits`` [classes]."""
    images, labels = datamodule.split("test")
    scores = method.classify(method.placed(method.latents_of(images))).cpu()
    passes = (scores.argmax(dim=1) == labels) & (log_odds(scores, labels) >= limits[labels])
    return [float(passes[labels == label].double().mean()) for label in range(method.num_classes)]


def trials_table(rows: list[dict[str, Any]]) -> str:
    """A row a class, and the sums."""
    sums = {name: sum(row[name] for row in rows) for name in ("latents", "images", "kept")}
    mean = sum(row["real_rate"] for row in rows) / len(rows)
    text = []
    for row in [*rows, sums | {"class": "all", "real_rate": mean}]:
        rate = row["kept"] / row["images"] if row["images"] else 0.0
        numbers = [str(row[name]) for name in ("class", "latents", "images", "kept")]
        text.append([*numbers, f"{rate:.3f}", f"{row['real_rate']:.3f}"])
    return markdown(TITLES, text)
