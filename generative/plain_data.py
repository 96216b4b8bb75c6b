"""Data of unknown origin: tensors, and beside them nothing but the types of JSON, so that whoever walks through sees all."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

SCALARS = (str, int, float, bool, type(None))
MAX_DEPTH = 32
MAX_VALUES = 100_000


class DamagedFile(ValueError):
    """A file that was cut short, or is of another kind."""


def read_tensors(path: Path) -> Any:
    """What torch.save wrote, on the CPU. Never runs code from the file.

    DamagedFile where it is not whole; another ValueError where it may hold more than tensors and plain data.
    """
    import torch  # takes seconds, which a check of plain data need not wait for

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} cannot be read as tensors and plain data: it is another kind of file or holds pickled objects, which "
            "could run code: refused"
        ) from error
    except (zipfile.BadZipFile, RuntimeError, EOFError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise DamagedFile(
            f"{path} cannot be read as tensors and plain data: it was cut short or is another kind of file"
        ) from error


def are_weights(content: Any) -> bool:
    """Whether ``content`` holds tensors by their names and nothing else."""
    import torch

    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    )


def check_plain(content: Any, what: str) -> None:
    """ValueError unless ``content`` is made of dictionaries with text as keys, lists, text, numbers, true, false and null.

    Subclasses are refused too, and tuples: a library may turn them into lists, which a check for lists has not seen.
    So is what is nested too deeply or too large, such as a list that holds itself.
    """
    waiting: list[tuple[str, int, Any]] = [("", 0, content)]
    seen = 0
    while waiting:
        place, depth, node = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_VALUES:
            raise ValueError(f"{what} is nested more than {MAX_DEPTH} deep or holds over {MAX_VALUES} values: refused")
        if type(node) is dict:
            for key, value in node.items():
                if type(key) is not str:
                    raise ValueError(f"{what} holds a key of type {type(key).__name__}{at(place)}: refused")
                waiting.append((f"{place}.{key}" if place else key, depth + 1, value))
        elif type(node) is list:
            waiting += [(f"{place}[{index}]", depth + 1, value) for index, value in enumerate(node)]
        elif type(node) not in SCALARS:
            raise ValueError(
                f"{what} holds a {type(node).__name__}{at(place)}: refused. Only dictionaries, lists, text, numbers, true, "
                "false and null are taken"
            )


def at(place: str) -> str:
    return f" at {place}" if place else ""
