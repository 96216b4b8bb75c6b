"""Edits along a boundary: the direction in latent space in which a classifier's answer changes (section 4.5 of mGANprior)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.search import Found, Point
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, ImageData, Invertible
from lightning_modules.tasks.originals import open_originals
from lightning_modules.tasks.search import Inversion, Targets, check_space, make_objective
from lightning_modules.tasks.tables import write_lines

LEAST_OF_A_SIDE = 10  # samples on each side of a boundary
LATENT = "z"  # the part of a point that a boundary moves


@dataclass(frozen=True)
class Boundary:
    """A linear boundary of latents: its unit normal [D], towards the class, and how well it told held-out samples."""

    normal: Tensor
    accuracy: float
    share: float  # of the samples that are of the class


def unit_mean_square(latents: Tensor) -> Tensor:
    """Latents [N, D] of mean square 1 each: what a generator that normalises them sees."""
    return latents / latents.square().mean(dim=1, keepdim=True).sqrt()


@torch.no_grad()
def boundary(
    method: Invertible, judge: Classifies, *, towards: int, count: int, seed: int, batch_size: int
) -> Boundary:
    """Logistic regression of ``count`` samples that ``judge`` calls ``towards`` or not; a fifth of them are held out."""
    check_at_least(5 * LEAST_OF_A_SIDE, samples=count)
    latents = method.latents(0, count, seed=seed, stream="boundary")
    parts = latents.split(batch_size)
    labels = [method.balanced_labels(0, len(part)) for part in parts]
    drawn = (method.decode(*part) for part in zip(parts, labels, strict=True))
    named = torch.cat([judge.classify(judge.features(images)).argmax(dim=1).cpu() for images in drawn])
    is_class = (named == towards).numpy()
    least = int(min(is_class.sum(), (~is_class).sum()))
    if least < LEAST_OF_A_SIDE:
        raise ValueError(
            f"of {count} samples the judge calls {int(is_class.sum())} class {towards}: a boundary takes at least "
            f"{LEAST_OF_A_SIDE} on each side; give more samples, or another class"
        )
    rows = unit_mean_square(latents).double().cpu().numpy()
    training = np.arange(count) % 5 != 0
    fitted = LogisticRegression(max_iter=1000, class_weight="balanced").fit(rows[training], is_class[training])
    normal = torch.from_numpy(fitted.coef_[0]).to(latents)
    accuracy = float(fitted.score(rows[~training], is_class[~training]))
    return Boundary(normal / normal.norm(), accuracy, float(is_class.mean()))


def moved(point: Point, normal: Tensor, strength: float, *, hears_norms: bool) -> Point:
    """A point whose latents, [B, D] or [B, N, D], are ``strength`` further along ``normal``; all else of it is kept.

    Where a generator does not hear their norm, which a search lets drift, they are brought to a mean square of 1 first.
    """
    z = point[LATENT]
    if not hears_norms:
        z = z / z.square().mean(dim=-1, keepdim=True).sqrt()
    return point | {LATENT: z + strength * normal}


def edit_boundary(
    method: Invertible,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    labeller: list[Classifies],
    judge: list[Classifies],
    towards: int,
    samples: int = 10_000,
    strengths: list[float] | None = None,
    images: list[int] | int | str | None = None,
    count: int = 10,
    classes: list[int] | int | None = None,
    fit: bool = False,
    space: str | None = None,
    settings: dict[str, Any] | None = None,
    steps: int = 200,
    rate: float | None = None,
    batch_size: int = 16,
) -> list[Path]:
    """Images moved towards a class along a boundary: a strip of ``strengths`` for each, and how many change their class.

    ``labeller``: a classifier's checkpoint that names ``samples`` of the generator, from which the boundary is fitted;
    ``judge``: another one, which names the edited images and in whose features the change is measured. ``strengths`` in
    units of a latent of mean square 1 (by default -4, -2, 0, 2, 4); 0 is the unedited image. The others as in `colourise`.
    """
    steps_along = [-4.0, -2.0, 0.0, 2.0, 4.0] if strengths is None else strengths
    name = space or method.space_names[0]
    check_space(method, name)
    if len(labeller) != 1 or len(judge) != 1:
        raise ValueError(f"labeller and judge take one checkpoint each, got {len(labeller)} and {len(judge)}")
    naming, judging = labeller[0], judge[0]
    if naming.image_shape != method.image_shape or judging.image_shape != method.image_shape:
        raise ValueError(f"labeller and judge must take the images {method.image_shape} that the checkpoint draws")
    found = boundary(method, naming, towards=towards, count=samples, seed=seed, batch_size=max(batch_size, 64))
    originals = open_originals(method, datamodule, images=images, count=count, classes=classes, fit=fit)
    objective = make_objective(method, pixel="l2", perceptual=None)
    search: dict[str, Any] = {"steps": steps, "rate": rate, "batch_size": batch_size, "settings": settings or {}}
    inversion = Inversion(method, objective, seed=seed, **search)
    targets = Targets(originals.images, originals.labels)
    points = inversion.embed(targets, space=name)
    frames = torch.stack([edited(inversion, targets, points, name, found.normal, s) for s in steps_along], dim=1)
    facts = {"towards": towards, "space": name, "boundary_accuracy": found.accuracy, "share_of_samples": found.share}
    return write_edits(output, originals.images.cpu(), frames, steps_along, judging, facts)


@torch.no_grad()
def edited(
    inversion: Inversion, targets: Targets, points: list[Found], space: str, normal: Tensor, strength: float
) -> Tensor:
    """The images of points that are moved: [N, C, H, W] on the CPU."""
    for found in points:
        if LATENT not in found.point:
            raise ValueError(
                f"a boundary moves latents, and the points of the space {space} have none: choose another space"
            )
    drawn = [
        inversion.space(space, b.labels)
        .draw(moved(f.point, normal, strength, hears_norms=inversion.method.keeps_norms))
        .cpu()
        for b, f in targets.beside(points)
    ]
    return torch.cat(drawn)


@torch.no_grad()
def write_edits(
    output: Path,
    originals: Tensor,
    frames: Tensor,
    strengths: Sequence[float],
    judge: Classifies,
    facts: dict[str, Any],
) -> list[Path]:
    """``frames`` [N, S, C, H, W]: a row an image in the picture; a line a strength with the share of images of the class."""
    features = [judge.features(images.to(judge.device)) for images in (originals, *frames.unbind(dim=1))]
    unit = features[0].norm(dim=1).mean()  # the mean length of an original's features
    lines = []
    for strength, of_frames in zip(strengths, features[1:], strict=True):
        named = judge.classify(of_frames).argmax(dim=1)
        change = (of_frames - features[0]).norm(dim=1).mean() / unit
        lines.append(
            {
                "strength": strength,
                "share_of_class": float((named == facts["towards"]).double().mean()),
                "feature_change": float(change),
                **facts,
            }
        )
    scale = pixel_scale(originals.shape[2])
    panels = [("original", image_grid(originals, num_columns=1, scale=scale))]
    panels += [
        (
            "strengths " + ", ".join(f"{s:g}" for s in strengths),
            image_grid(frames.flatten(0, 1), num_columns=len(strengths), scale=scale),
        )
    ]
    table = output / "edit_boundary.md"
    written = [save_picture(side_by_side(panels), output, "edit_boundary.png")]
    written += [write_lines(lines, output / "edit_boundary.jsonl"), table]
    shown = [
        [f"{line['strength']:g}", f"{line['share_of_class']:.3f}", f"{line['feature_change']:.3f}"] for line in lines
    ]
    table.write_text(markdown(("strength", "share of the class", "change of features"), shown))
    return written
