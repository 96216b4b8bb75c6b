"""More images of a class, with the origin of each: the training images that it was made of, their weights, and how sure it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from generative.checks import check_at_least
from generative.latents.combinations import Combination, Smote, variance_keeping_spread
from generative.latents.confidence import log_probability
from generative.rendering.images import as_floats, from_uint8, to_uint8
from generative.rendering.writers import WRITERS, file_name, unfinished
from lightning_modules.base import ImageData
from lightning_modules.regene.drawing import FILTERED, DrawsFromBank
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.pictures import decoded
from lightning_modules.tasks.samples import progress
from lightning_modules.tasks.tables import write_lines
from metrics.features import hash_of_tensors
from metrics.functional import nearest_rows

Line = dict[str, Any]


class PlacedImages(ImageData, Protocol):
    """What this task asks of a data module beside what every task may ask."""

    def places(self, name: str) -> Tensor:
        """The numbers that the images of ``train`` have among all the training images, of which it may be a part: [N]."""


def augment(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: PlacedImages,
    label: int,
    count: int = 100,
    sampler: str = "variance_2_filtered",
) -> list[Path]:
    """``count`` images of class ``label`` in the folder ``augment/<label>``, and ``augment_class<label>.jsonl`` with their origin.

    A row an image: its ``parents``, the places of its sources among all the training images, with ``members``, their numbers
    in the bank, ``weights`` and ``spread``; the ``try`` that was kept, from 0; the ``confidence``, p of its class under the
    method's own classifier; the ``nearest`` training image, by its place, and how far it is, the root mean square of the
    differences of pixels in [0, 1]; ``seed`` and ``number``, and ``method``, the hash of the weights and the bank.
    :func:`from_row` makes an image again. ValueError for samplers that do not combine images, and where files are there.
    """
    check_at_least(1, count=count)
    method.check_labels([label])
    method.use_sampling(sampler)
    originals, known = as_floats(datamodule.split("train")[0][:]).flatten(1), datamodule.places("train")
    folder, table = output / "augment" / str(label), output / f"augment_class{label}.jsonl"
    with unfinished(table) as rows_path, unfinished(folder) as path, progress(count, f"class {label}") as bar:
        rows = []
        with WRITERS["png"](path, count, method.image_shape) as write:
            for row, image in drawn(method, label, count, seed=seed):
                row["parents"] = known[method.bank.origins[row["members"]]].tolist()
                rows.append(row | nearest(image, originals, known))
                write(row["number"], image, None)
                bar.update()
        write_lines(rows, rows_path)
    return [folder, table]


def remake(method: ReGene, output: Path, *, seed: int, rows: str) -> list[Path]:
    """The images of ``rows``, a file of ``task=augment``, made again from their parents and weights alone, in ``remade/<label>``.

    ``seed`` has no part in it. ValueError for rows of another checkpoint, and where that folder is there.
    """
    lines = read_rows(Path(rows))
    for row in {row["method"]: row for row in lines}.values():
        check_version(method, row)
    folder = output / "remade" / str(lines[0]["label"])
    with (
        unfinished(folder) as path,
        progress(len(lines), folder.name) as bar,
        WRITERS["png"](path, len(lines), method.image_shape) as write,
    ):
        for row in lines:
            write(row["number"], to_uint8(combined(method, row)), None)
            bar.update()
    return [folder]


def drawn(method: DrawsFromBank, label: int, count: int, *, seed: int) -> Iterator[tuple[Line, Tensor]]:
    """Row and image, uint8 [1, C, H, W], of each number. They are drawn one by one: a batch may round an image otherwise."""
    name, version = str(method.sampling).removesuffix(FILTERED), version_of(method)
    sampler = method.sampler(name)
    if not isinstance(sampler, Combination | Smote):
        raise ValueError(
            f"sampler {method.sampling} makes latents that no single training images are the parents of: take one like "
            "convex_2, variance_2, dirichlet_2, smote or training, with or without _filtered"
        )
    labels = torch.tensor([label])
    for number in range(count):
        found = method.sampled([number], labels, seed=seed)
        row: Line = {"image": f"{label}/{file_name(number, None, count)}", "label": label, "number": number}
        row |= {"seed": seed, "sampler": method.sampling, "members": found.sources[0].tolist()}
        row |= {"weights": found.weights[0].tolist(), "spread": spread_of(sampler, found.weights[0], label)}
        row |= {"try": int(found.tries[0]), "confidence": confidence(method, found.images, labels)}
        yield row | {"method": version}, to_uint8(found.images.cpu())


def spread_of(sampler: Combination | Smote, weights: Tensor, label: int) -> float:
    """By how much a combination was moved away from the mean of its class, 1: not at all."""
    if isinstance(sampler, Smote):
        return 1.0
    if isinstance(sampler.spread, str):
        return variance_keeping_spread(weights, len(sampler.bank.members(label)))
    return sampler.spread


@torch.no_grad()
def confidence(method: DrawsFromBank, images: Tensor, labels: Tensor) -> float:
    """p(class) of one image [1, C, H, W] under the method's own classifier, from 0 to 1."""
    return float(log_probability(method.classify(method.features(images)).cpu(), labels).exp())


def nearest(image: Tensor, originals: Tensor, known: Tensor) -> Line:
    """Which of the training images, ``originals`` [N, D] in [-1, 1] at ``known`` places [N], is nearest to a uint8 [1, C, H, W]."""
    distances, numbers = nearest_rows(from_uint8(image).flatten(1), originals)
    root_mean = float(distances[0]) / (2.0 * originals.shape[1] ** 0.5)  # of pixels in [0, 1]
    return {"nearest": int(known[numbers[0]]), "nearest_distance": root_mean}


def version_of(method: DrawsFromBank) -> str:
    """A hash of all that an image of it hangs on: the weights that draw and name, and the bank."""
    kept = nn.ParameterDict(
        {name: nn.Parameter(value, requires_grad=False) for name, value in method.bank.state().items()}
    )
    return hash_of_tensors(nn.ModuleList([method, kept]))


def from_row(method: ReGene, row: Mapping[str, Any]) -> Tensor:
    """The image [1, C, H, W] in [-1, 1] of a row of ``task=augment``, from its sources, weights and spread alone.

    The same bits as when it was drawn, on the same machine and device. ValueError for a row of another checkpoint.
    """
    check_version(method, row)
    return combined(method, row)


def check_version(method: DrawsFromBank, row: Mapping[str, Any]) -> None:
    if row["method"] != (own := version_of(method)):
        raise ValueError(
            f"image {row['image']} was made by weights and a bank of hash {row['method']}, and these have {own}: give the "
            "checkpoint that task=augment was given"
        )


def combined(method: ReGene, row: Mapping[str, Any]) -> Tensor:
    """As :func:`from_row`, of a row that was checked."""
    members, weights = torch.tensor(row["members"]), torch.tensor(row["weights"], dtype=torch.float64)
    again = Combination(method.bank, len(members), spread=row["spread"])
    return decoded(method, again.combine(members, weights, row["label"])[None])


def read_rows(path: Path) -> list[Line]:
    """The rows of a file of ``task=augment``; ValueError where there is none, and for another file."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}: rows= is augment_class<label>.jsonl, which task=augment writes")
    lines: list[Line] = [json.loads(line) for line in path.read_text().splitlines()]
    if not lines or any("members" not in line for line in lines):
        raise ValueError(f"{path} holds no rows of task=augment: give augment_class<label>.jsonl")
    return lines
