"""Reads a YAML file into dataclasses: whatever is unknown in it fails, and is named with the nearest that is known.

An annotation ``Annotated[str, Known("measure", names)]`` takes one of ``names()`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import OmegaConf

from launch.constructors import check_type
from launch.errors import did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Known:
    """One of ``names()``, which are asked for when a value is read; ``what`` they are names of."""

    what: str
    names: Callable[[], Iterable[str]]

    def check(self, name: str, *, place: str) -> None:
        names = set(self.names())
        if name not in names:
            raise ValueError(f"{place}: there is no {self.what} {name!r}{did_you_mean(name, names)}")


def read_yaml(path: Path) -> Any:
    """The plain data of a file; ValueError with file and line where it is no YAML or has a key twice."""
    try:
        return OmegaConf.to_container(OmegaConf.load(path))
    except (yaml.YAMLError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error


def built(kind: type[T], entry: Any, *, place: str) -> T:
    """The dataclass ``kind`` from a mapping of its fields, and those within it; ``place`` is where errors say it stands."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{place} must be a mapping of keys to values, got {entry!r}")
    own = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in entry:
        if key not in own:
            raise ValueError(f"{place}: there is no key {key!r}{did_you_mean(str(key), own)}")
    for name, field in own.items():
        if name not in entry and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{place} lacks the key {name!r}")
    hints = get_type_hints(kind, include_extras=True)
    values = {key: converted(value, hints[key], place=f"{place}, {key}") for key, value in entry.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def converted(value: Any, hint: Any, *, place: str) -> Any:
    """A plain ``value`` as the annotation ``hint`` has it: names looked up, mappings made into dataclasses."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        check_type(place, value, inner[0])
        inner[1].check(value, place=place)
        return value
    if origin in (Union, UnionType) and value is not None:
        (only,) = (kind for kind in inner if kind is not NoneType)
        return converted(value, only, place=place)
    if is_dataclass(hint):
        return built(hint, value, place=place)  # type: ignore[arg-type]
    if origin is tuple:
        check_type(place, value, list[Any])
        return tuple(converted(item, inner[0], place=f"{place}[{k}]") for k, item in enumerate(value))
    if origin is dict:
        check_type(place, value, dict[str, Any])
        return {
            converted(key, inner[0], place=place): converted(item, inner[1], place=f"{place}, {key}")
            for key, item in value.items()
        }
    check_type(place, value, hint)
    return value
