"""What latents look like: as bar codes (Figures 4 and B.19), by unit (B.20), and in the plane (Figures 3, 4 and B.18)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from generative.checks import check_at_least, check_choice
from generative.rendering.images import image_grid, save_picture, side_by_side, text_column
from lightning_modules.base import ImageData
from lightning_modules.regene.embeddings import NEIGHBOURS, Embedding, embedded, neighbour_accuracy, save_embeddings
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.pictures import chosen_members
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.tables import write_lines

NEAR_ZERO = 0.05  # of the root mean square of all entries: an entry below counts as zero
SPACES = ("latents", "pixels")
STRIPE = 4  # pixels that a bar code's row is high
BROAD = 768  # pixels that a bar code is wide, at least where it has fewer numbers
SHADE = 0.99  # of all absolute values lie below the darkest colour


def barcodes(method: ReGene, output: Path, *, seed: int, rows: int = 8) -> list[Path]:
    """Figures 4, B.19 and B.20: the latents of ``rows`` training images of each class as bar codes, a stripe an image, a column
    a unit; blue above zero, red below, white at zero. Beside it the mean absolute activation of each unit, sorted, by class.

    The table has for each class of the bank the share of entries near zero (below 0.05 of the root mean square of all) and
    the effective directions of its covariance (:func:`effective_directions`).
    """
    check_at_least(1, rows=rows)
    classes = method.bank.classes
    members = torch.cat([chosen_members(method, rows, label=label, seed=seed) for label in classes])
    height = STRIPE * rows
    names = text_column([str(label) for label in classes], row_height=height)
    stripes = shaded(method.bank.rows(members), darkest=darkest_of(method.bank.latents)).unflatten(
        1, (len(classes), rows)
    )
    codes = image_grid(stripes.repeat_interleave(STRIPE, dim=2).transpose(0, 1), num_columns=1)
    codes = codes.resize((codes.width * max(1, BROAD // method.bank.dim), codes.height), Image.Resampling.NEAREST)
    title = f"{method.bank.dim} numbers of the latent, {rows} images a class"
    picture = save_picture(side_by_side([("class", names), (title, codes)]), output, "barcodes.png")
    strengths = torch.stack([method.bank.rows(method.bank.members(label)).abs().mean(dim=0) for label in classes])
    units = save_units(strengths, classes, output / "barcodes_units.png")
    return [picture, units, write_lines(code_rows(method), output / "barcodes.jsonl")]


def darkest_of(latents: Tensor) -> float:
    """The absolute value that is drawn darkest: all but a hundredth of the entries of [N, D] lie below it."""
    magnitudes = latents.abs().flatten()
    return float(magnitudes.kthvalue(max(1, round(SHADE * len(magnitudes)))).values)


def shaded(latents: Tensor, *, darkest: float) -> Tensor:
    """Latents [N, D] -> colours [3, N, D] in [-1, 1]: white at zero, blue at ``darkest`` and above, red at its negative."""
    shares = (latents / darkest).clamp(-1.0, 1.0)
    above, below = shares.clamp(min=0.0), -shares.clamp(max=0.0)
    return 1.0 - 2.0 * torch.stack([above, shares.abs(), below])


def save_units(strengths: Tensor, classes: Sequence[int], path: Path) -> Path:
    """A curve a class: ``strengths`` [classes, D] from the largest down."""
    from matplotlib.figure import Figure  # a second that no other task waits for

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for label, values in zip(classes, strengths.sort(dim=1, descending=True).values.tolist(), strict=True):
        axes.plot(range(1, len(values) + 1), values, label=str(label))
    axes.set_xlabel("unit, sorted in each class")
    axes.set_ylabel("mean absolute activation")
    axes.set_ylim(bottom=0)
    axes.legend(title="class", ncols=2)
    figure.savefig(path, dpi=100)
    return path


def code_rows(method: ReGene) -> list[dict[str, Any]]:
    """What the bank's latents of each class are, in numbers."""
    bank = method.bank
    small = NEAR_ZERO * float(bank.latents.double().square().mean().sqrt())
    rows = []
    for label in bank.classes:
        latents = bank.rows(bank.members(label, least=2))
        rows.append(
            {
                "class": label,
                "count": len(latents),
                "dim": bank.dim,
                "near_zero": float((latents.abs() < small).double().mean()),
                "mean_absolute": float(latents.abs().mean()),
                "effective_directions": effective_directions(latents),
            }
        )
    return rows


def effective_directions(latents: Tensor) -> float:
    """The participation ratio (tr S)^2 / tr S^2 of the covariance S of latents [N, D], N from 2: from 1 to min(N - 1, D).

    It is q where q directions have all of the variance in equal parts. ValueError where there is no variance.
    """
    centred = latents.double() - latents.double().mean(dim=0)
    total = float(centred.square().sum())
    if total == 0.0:
        raise ValueError(f"{len(latents)} latents that are all the same have no directions: give others")
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    return total**2 / float(gram.square().sum())


def embedding(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    count: int = 300,
    perplexity: float = 30.0,
    of: str = "latents",
) -> list[Path]:
    """Figures 4 and B.18: t-SNE of the latents, or ``of=pixels``, of ``count`` test images, coloured by class.

    The table has the share of images whose class most of the 5 nearest others name, among the latents (pixels) and in the plane.
    """
    check_choice("of", of, SPACES)
    images, labels = held_out(datamodule, some_numbers(datamodule, count, seed=seed))
    rows = method.latents_of(images) if of == "latents" else images.flatten(1)
    found = Embedding(f"{of} of {count} test images, t-SNE", embedded(rows, perplexity=perplexity, seed=seed), labels)
    picture = save_embeddings([found], output, f"embedding_{of}.png")
    row = {"of": of, "count": count, "perplexity": perplexity, "seed": seed, "neighbours": NEIGHBOURS}
    row |= {"accuracy": neighbour_accuracy(rows, labels), "accuracy_in_plane": neighbour_accuracy(found.points, labels)}
    return [picture, write_lines([row], output / f"embedding_{of}.jsonl")]
