"""What a metric keeps of a set of images: streamed over batches, put together over ranks, kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from metrics.features import Extractor, Features
from metrics.functional import Gaussian

FORMAT = 1  # of a file of statistics
PARTS = ("mean", "covariance", "factor")  # of a Gaussian, as far as it has them
FOREIGN = "the reference's statistics come from another program: their resize, weights and number of images are unknown"


class GaussianStatistics(Metric):
    """Mean and covariance of rows of features [B, num_features], in constant memory.

    Up to ``num_features`` rows are kept as they are, for then the covariance has an exact factor; more of them go into
    float64 sums, which ranks add up. Only then is there a table of features x features: fewer rows need none.
    """

    full_state_update = False
    rows: list[Tensor]
    num_summed: Tensor
    total: Tensor
    tables: list[Tensor]  # each rank's sum of outer products, [num_features, num_features] or [0, num_features]

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.add_state("num_summed", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(num_features, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("tables", [], dist_reduce_fx="cat")
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        super().reset()
        # A rank without a single image must offer a tensor of the same rank to the others.
        self.rows.append(torch.zeros(0, self.num_features, device=self.device))
        self.tables.append(torch.zeros(0, self.num_features, dtype=torch.float64, device=self.device))

    def update(self, features: Tensor) -> None:
        self.rows.append(features)
        if sum(len(rows) for rows in self.rows) > self.num_features:
            self.num_summed, self.total, table = self.with_rows_summed()
            self.tables, self.rows = [table], [features[:0]]

    def with_rows_summed(self) -> tuple[Tensor, Tensor, Tensor]:
        rows = dim_zero_cat(self.rows).double()
        summed = dim_zero_cat(self.tables).unflatten(0, (-1, self.num_features)).sum(dim=0)
        return self.num_summed + len(rows), self.total + rows.sum(dim=0), summed + rows.T @ rows

    def compute(self) -> Gaussian:
        if int(self.num_summed) == 0:
            return Gaussian.of(dim_zero_cat(self.rows))
        num_rows, total, outer = self.with_rows_summed()
        return Gaussian.of_sums(int(num_rows), total, outer)


class NumberedRows(Metric):
    """Rows [B, D] with the global numbers [B] of their images: all of them, in that order, on every rank."""

    full_state_update = False
    rows: list[Tensor]
    numbers: list[Tensor]

    def __init__(self, num_features: int, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.num_features, self.row_dtype = num_features, dtype
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.add_state("numbers", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.rows.append(torch.zeros(0, self.num_features, dtype=self.row_dtype, device=self.device))
        self.numbers.append(torch.zeros(0, dtype=torch.int64, device=self.device))

    def update(self, rows: Tensor, numbers: Tensor) -> None:
        self.rows.append(rows.to(self.row_dtype))
        self.numbers.append(numbers.to(self.device))

    def compute(self) -> Tensor:
        numbers, order = dim_zero_cat(self.numbers).sort()
        assert len(numbers) == len(numbers.unique()), "an image was shown twice"
        return dim_zero_cat(self.rows)[order]


@dataclass(frozen=True)
class Summary:
    """What the metrics of one extractor need of a set of images, by the extractor's outputs.

    ``facts`` say of what: extractor, weights, resize, image shape, hash and name of the images; few where another
    program made the file.
    """

    num_images: int  # 0: unknown
    gaussians: dict[str, Gaussian] = field(default_factory=dict)
    rows: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def has(self, *, statistics: Sequence[str], rows: Sequence[str]) -> bool:
        return set(statistics) <= self.gaussians.keys() and set(rows) <= self.rows.keys()

    def to(self, device: torch.device) -> Summary:
        gaussians = {name: gaussian.to(device) for name, gaussian in self.gaussians.items()}
        rows = {name: values.to(device) for name, values in self.rows.items()}
        return Summary(self.num_images, gaussians, rows, self.facts)

    def with_parts_of(self, other: Summary) -> Summary:
        """This and what ``other`` keeps of the same images."""
        return Summary(self.num_images, other.gaussians | self.gaussians, other.rows | self.rows, self.facts)


class Collector:
    """Streams the outputs of an extractor into a :class:`Summary`. Every rank of a process group must ask for it."""

    def __init__(self, extractor: Extractor, *, statistics: Sequence[str], rows: Sequence[str]) -> None:
        for output in (*statistics, *rows):
            if output not in extractor.provides:
                raise ValueError(f"{extractor.name} has no {output}: it gives {', '.join(extractor.provides)}")
        self.statistics = {name: GaussianStatistics(extractor.provides[name]) for name in statistics}
        self.rows = {name: NumberedRows(extractor.provides[name]) for name in rows}
        self.count = NumberedRows(1, dtype=torch.uint8)

    def update(self, features: Features, numbers: Tensor) -> None:
        """Outputs of a batch and the global numbers [B] of its images."""
        for name in {*self.statistics, *self.rows}:
            finite = features[name].flatten(1).isfinite().all(dim=1)
            if not finite.all():
                bad = int(numbers[int((~finite).nonzero()[0])])
                raise ValueError(f"the {name} of image number {bad} are not finite: check the extractor's weights")
        for name, statistics in self.statistics.items():
            statistics.update(features[name])
        for name, rows in self.rows.items():
            rows.update(features[name], numbers)
        self.count.update(torch.zeros(len(numbers), 1, dtype=torch.uint8, device=self.count.device), numbers)

    def metrics(self) -> list[Metric]:
        return [*self.statistics.values(), *self.rows.values(), self.count]

    def summary(self) -> Summary:
        num_images = len(self.count.compute())
        if num_images < 2:
            raise ValueError(f"statistics need at least 2 images, got {num_images}")
        return Summary(
            num_images,
            {name: statistics.compute() for name, statistics in self.statistics.items()},
            {name: rows.compute() for name, rows in self.rows.items()},
        )


def save_summary(summary: Summary, path: Path) -> None:
    """One ``.npz``, written beside the target and renamed."""
    arrays: dict[str, np.ndarray] = {}
    for output, gaussian in summary.gaussians.items():
        parts = {"mean": gaussian.mean, "covariance": gaussian.covariance, "factor": gaussian.factor}
        arrays |= {f"{output}/{part}": value.cpu().numpy() for part, value in parts.items() if value is not None}
    arrays |= {f"{output}/rows": rows.cpu().numpy() for output, rows in summary.rows.items()}
    header = json.dumps({"format": FORMAT, "num_images": summary.num_images, **summary.facts}, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        with temporary.open("wb") as file:
            np.savez(file, header=np.array(header), **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_summary(path: Path) -> Summary:
    """A file of :func:`save_summary`, or pytorch-fid's (``mu``, ``sigma``; of unknown count); ValueError if neither."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a readable file of statistics: {error}") from error
    if {"mu", "sigma"} <= arrays.keys():
        mean, covariance = (torch.from_numpy(arrays[name].astype(np.float64)) for name in ("mu", "sigma"))
        if covariance.shape != (len(mean), len(mean)):
            raise ValueError(f"{path} holds mu of shape {tuple(mean.shape)} and sigma of {tuple(covariance.shape)}")
        facts = {"extractor": "inception", "name": str(path), "note": FOREIGN}
        return Summary(0, {"features": Gaussian(0, mean, covariance=covariance)}, facts=facts)
    if "header" not in arrays:
        raise ValueError(f"{path} holds no statistics: neither those of evaluate.py nor mu and sigma")
    facts = json.loads(str(arrays.pop("header")))
    if facts.pop("format") != FORMAT:
        raise ValueError(f"{path} is of another version of polymorph: make it again with save_statistics=<file>")
    num_images = facts.pop("num_images")
    gaussians: dict[str, Gaussian] = {}
    for output in {name.split("/")[0] for name in arrays}:
        parts = {name: torch.from_numpy(arrays[key]) for name in PARTS if (key := f"{output}/{name}") in arrays}
        if parts:
            gaussians[output] = Gaussian(num_images, **parts)
    rows = {name.split("/")[0]: torch.from_numpy(array) for name, array in arrays.items() if name.endswith("/rows")}
    return Summary(num_images, gaussians, rows, facts)


def cached_path(folder: Path, facts: dict[str, Any]) -> Path:
    """Where the statistics of a data set under an extractor are kept: the name is a hash of all that they depend on."""
    digest = hashlib.sha256(json.dumps({"format": FORMAT, **facts}, sort_keys=True).encode()).hexdigest()
    return folder / f"{digest[:32]}.npz"


def load_cached(path: Path, facts: dict[str, Any]) -> Summary | None:
    """The statistics kept at ``path``; None where there are none, or (it says so) where the file cannot be read."""
    if not path.exists():
        return None
    try:
        summary = load_summary(path)
    except ValueError as error:
        print(f"warning: {error}; it is made again", file=sys.stderr)
        return None
    return summary if summary.facts == facts else None


def keep_in_cache(summary: Summary, path: Path) -> None:
    """Save, or say why not: a full or read-only disk costs the next evaluation a pass, and this one nothing."""
    try:
        save_summary(summary, path)
    except OSError as error:
        print(f"warning: the statistics of the real images are not kept: {error}", file=sys.stderr)
