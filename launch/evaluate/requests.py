"""What evaluate.py is asked for: one typed request a mode, whose fields are the settings that the mode reads."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from omegaconf import OmegaConf

from launch.compose import CONFIGS
from launch.evaluate.judges import check_name
from lightning_modules.labels import check_labels_setting
from metrics.evaluation import Work
from metrics.features import EXTRACTORS
from metrics.quality import Settings, check_metrics

JUDGES = ("pixels",)
CORRUPTIONS = ("all", "regenerated")
# The least that a count may be.
LEAST = {
    "seed": 0,
    "num_images": 2,
    "num_reference": 2,
    "batch_size": 1,
    "show_nearest": 1,
    "num_neighbours": 1,
    "num_workers": 0,
    "num_subsets": 1,
    "subset_size": 2,
    "num_splits": 1,
}


@dataclass(frozen=True, kw_only=True)
class ComparisonRequest:
    """Results side by side."""

    what: ClassVar[str] = "a comparison"

    compare: list[str]


@dataclass(frozen=True, kw_only=True)
class MeasuringRequest:
    """What every measurement reads: where it runs, and the file that its record goes to."""

    what: ClassVar[str]

    device: str
    num_threads: int | None
    output: str | None

    def on(self, device: str) -> Self:
        """The same on the device of this rank."""
        return dataclasses.replace(self, device=device)


@dataclass(frozen=True, kw_only=True)
class CorruptionsRequest(MeasuringRequest):
    """A classifier of ImageNet on ImageNet-C."""

    what: ClassVar[str] = "the corruptions of ImageNet-C"

    checkpoint: str
    corruptions: str
    batch_size: int | None
    num_workers: int


@dataclass(frozen=True, kw_only=True)
class ExtractingRequest(MeasuringRequest):
    """What looks at images by an extractor; one that is None depends on their size."""

    extractor: str | None
    weights: str | None
    metrics: list[str] | None  # None: those of the mode
    split: str
    num_images: int | None
    batch_size: int | None
    cache: str | None

    def work(self) -> Work:
        return Work(
            device=torch.device(self.device),
            batch_size=self.batch_size,
            cache=None if self.cache is None else Path(self.cache).expanduser(),
            show_progress=True,
        )


@dataclass(frozen=True, kw_only=True)
class StatisticsRequest(ExtractingRequest):
    """The statistics of a set of images, to be kept as a reference."""

    what: ClassVar[str] = "saving statistics"

    images: str
    save_statistics: str


@dataclass(frozen=True, kw_only=True)
class AgainstReference(ExtractingRequest):
    """What compares images with a reference, and may ask a judge for their classes."""

    reference: str | None
    num_reference: int | None
    judge: str
    show_nearest: int | None
    conventions: Settings


@dataclass(frozen=True, kw_only=True)
class ImagesRequest(AgainstReference):
    """A set of images against another, or against saved statistics."""

    what: ClassVar[str] = "a set of images"

    images: str


@dataclass(frozen=True, kw_only=True)
class CheckpointRequest(AgainstReference):
    """A trained method, by all that it can do."""

    what: ClassVar[str] = "a checkpoint"

    checkpoint: str
    seed: int
    labels: str
    sampling: str | None
    allow_trained_judge: bool


Request = ComparisonRequest | CorruptionsRequest | StatisticsRequest | ImagesRequest | CheckpointRequest


def request_of(settings: dict[str, Any]) -> Request:
    """What the plain settings of evaluate.yaml ask for.

    ValueError where they choose no mode or two, for a setting that the mode does not read, and for a value of the
    wrong kind; nothing is read from disk but evaluate.yaml.
    """
    kind = request_kind(settings)
    check_read(given(settings), settings_of(kind), kind.what)
    if isinstance(settings["metrics"], str):
        settings = settings | {"metrics": [settings["metrics"]]}
    check_kinds(settings)
    return built_from(kind, settings)


def request_kind(settings: dict[str, Any]) -> type[Request]:
    chosen = [name for name in ("checkpoint", "images", "compare") if settings[name] is not None]
    if len(chosen) != 1:
        raise ValueError("give one of checkpoint=<file>, images=<...> reference=<...> and compare=[<file>,<file>]")
    if chosen == ["compare"]:
        return ComparisonRequest
    if chosen == ["checkpoint"]:
        return CheckpointRequest if settings["corruptions"] is None else CorruptionsRequest
    return ImagesRequest if settings["save_statistics"] is None else StatisticsRequest


def built_from(kind: type, settings: dict[str, Any]) -> Any:
    """A ``kind`` with the settings that its fields are called after; a field that is a dataclass is built likewise."""
    nested = nested_kinds(kind)
    values = {
        field.name: built_from(nested[field.name], settings) if field.name in nested else settings[field.name]
        for field in dataclasses.fields(kind)
    }
    return kind(**values)


def settings_of(kind: type) -> set[str]:
    """The names of the settings that :func:`built_from` reads."""
    nested = nested_kinds(kind)
    own = {field.name for field in dataclasses.fields(kind)} - nested.keys()
    return own.union(*(settings_of(inner) for inner in nested.values()))


def nested_kinds(kind: type) -> dict[str, type]:
    """The fields of a dataclass that are dataclasses themselves."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: hints[field.name]
        for field in dataclasses.fields(kind)
        if dataclasses.is_dataclass(hints[field.name])
    }


def settings_in(request: Request) -> dict[str, Any]:
    """The settings that a request was built from."""
    settings: dict[str, Any] = {}
    for name, value in dataclasses.asdict(request).items():
        settings |= value if isinstance(value, dict) else {name: value}
    return settings


def given(settings: dict[str, Any]) -> list[str]:
    """The settings that are not as evaluate.yaml has them, in its order; last those that it does not have."""
    defaults = OmegaConf.to_container(OmegaConf.load(CONFIGS / "evaluate.yaml"), resolve=True)
    assert isinstance(defaults, dict)
    changed = [key for key, value in defaults.items() if key in settings and settings[key] != value]
    return changed + [key for key in settings if key not in defaults]


def check_read(names: Collection[str], read: Collection[str], what: str) -> None:
    """ValueError for a setting that was given and would be ignored."""
    for name in names:
        if name not in read:
            raise ValueError(f"{name}= has no effect on {what}: leave it out")


def check_kinds(settings: dict[str, Any]) -> None:
    """ValueError for a setting of the wrong kind or out of its range."""
    if settings["extractor"] is not None:
        check_name("extractor", settings["extractor"], EXTRACTORS)
    check_name("judge", settings["judge"], JUDGES)
    if settings["metrics"] == []:
        raise ValueError("metrics=[] asks for nothing: leave it out for the default")
    check_metrics(settings["metrics"] or [])
    check_labels_setting(settings["labels"])
    for key, least in LEAST.items():
        value = settings[key]
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise ValueError(f"{key} must be an integer of at least {least}, got {value!r}")
    if settings["corruptions"] not in (None, *CORRUPTIONS):
        raise ValueError(f"corruptions must be {' or '.join(CORRUPTIONS)}, got {settings['corruptions']!r}")
    kept = settings["save_statistics"]
    if kept is not None and (Path(kept).suffix != ".npz" or Path(kept).is_dir()):
        raise ValueError(f"save_statistics must be the name of an .npz file, got {kept}")
    paths = settings["compare"]
    if paths is not None and (not isinstance(paths, list) or len(paths) < 2):
        raise ValueError("compare=[a,b] takes at least two files of results")
