"""What a trained method can show: functions that take `output` and `seed`, found by name.

Those in a method's folder are its own, those in ``lightning_modules/tasks`` of every method of their kind.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import lightning_modules.tasks
from datamodules.base import ImageDataModule
from generative.errors import PartlyDone
from launch.checkpoint import load_method
from launch.constructors import check_type
from launch.data_sets import make_datamodule
from launch.errors import did_you_mean
from lightning_modules.base import ImageData, Method
from records.environment import environment
from records.settings_hash import settings_hash

Task = Callable[..., list[Path]]  # task(method, output, *, seed, **options) -> the files it wrote
GIVEN = {"seed", "datamodule"}  # by the program; the others are the task's own settings
MARKS = {"output", "seed"}  # the parameters that make a function a task


def tasks_of(method: Method) -> dict[str, Task]:
    """Name -> task, of every method of its kind and of its own folder."""
    own = importlib.import_module(type(method).__module__.rpartition(".")[0])
    found: dict[str, Task] = {}
    for folder in (lightning_modules.tasks, own):
        for file in pkgutil.iter_modules(folder.__path__, prefix=f"{folder.__name__}."):
            if file.ispkg:
                continue
            functions = inspect.getmembers(importlib.import_module(file.name), inspect.isfunction)
            for key, function in functions:
                is_task = function.__module__ == file.name and inspect.signature(function).parameters.keys() >= MARKS
                if is_task and suits(function, method):
                    if key in found:
                        raise ValueError(
                            f"two tasks are called {key!r}, in {found[key].__module__} and in {file.name}: rename one"
                        )
                    found[key] = function
    return found


def suits(task: Task, method: Method) -> bool:
    """Whether ``method`` is of the kind that the task's first parameter is annotated with: a folder may hold several."""
    first = next(iter(inspect.signature(task).parameters))
    kind = method_kind(typing.get_type_hints(task).get(first, Method))
    return kind is not None and isinstance(method, kind)


def find_task(method: Method, name: str) -> Task:
    tasks = tasks_of(method)
    if name not in tasks:
        offered = f"it offers {', '.join(tasks)}" if tasks else "it offers none"
        raise ValueError(f"{type(method).__name__} has no task {name!r}: {offered}")
    return tasks[name]


def run_task(
    task: Task, method: Method, datamodule: ImageDataModule, output: Path, *, seed: int, options: dict[str, Any]
) -> tuple[list[Path], PartlyDone | None]:
    """The files that ``task`` wrote, and what it could not do, if anything.

    One that has a parameter ``datamodule`` is given that of the checkpoint.
    """
    given = {"datamodule": datamodule} if "datamodule" in inspect.signature(task).parameters else {}
    try:
        return task(method, output, seed=seed, **given, **options), None
    except PartlyDone as error:
        return error.files, error


def write_record(output: Path, method: Method, settings: dict[str, Any], *, seconds: float, files: list[Path]) -> Path:
    """``<task>.json`` beside what the task wrote: of which model, with which settings, on what, in how many seconds."""
    config = method.run_config
    record = {
        **{key: settings[key] for key in ("task", "seed", "options", "device", "compile")},
        "experiment": config.get("experiment_name"),
        "train_seed": config.get("seed"),
        "kimg": method.images_seen / 1000,
        "settings_hash": settings_hash(config),
        "seconds": round(seconds, 3),
        "threads": torch.get_num_threads(),
        "environment": environment(settings["device"].split(":")[0]),
        "files": sorted(path.name for path in files),
    }
    path = output / f"{settings['task']}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def check_options(task: Task, options: dict[str, Any]) -> None:
    """ValueError for a setting that the task does not know."""
    known = [
        name for name, p in inspect.signature(task).parameters.items() if p.kind is p.KEYWORD_ONLY and name not in GIVEN
    ]
    hints = typing.get_type_hints(task)
    for key, value in options.items():
        if key not in known:
            raise ValueError(f"task {task.__name__} has no setting {key!r}{did_you_mean(key, known)}")
        hint = hints.get(key)
        check_type(key, value, list[str] | str if method_kind(hint) else str if hint is ImageData else hint)


def method_kind(hint: Any) -> type[Method] | None:
    """The kind of method that an annotation such as ``list[Method] | None`` speaks of; None for any other."""
    if isinstance(hint, type) and issubclass(hint, Method):
        return hint
    return next((kind for inner in typing.get_args(hint) if (kind := method_kind(inner))), None)


def load_named(task: Task, options: dict[str, Any], *, device: str) -> dict[str, Any]:
    """``options`` with what they name in its place.

    A parameter ``list[<a kind of method>]`` is given by checkpoints, one of :class:`ImageData` by a data module's
    name.
    """
    hints = typing.get_type_hints(task)
    loaded = dict(options)
    for key, value in options.items():
        kind = method_kind(hints[key])
        if hints[key] is ImageData:
            loaded[key] = make_datamodule(value)
        elif kind is not None and value is not None:
            paths = [value] if isinstance(value, str) else value
            loaded[key] = [load_method(Path(path), device=device)[0] for path in paths]
            for path, method in zip(paths, loaded[key], strict=True):
                if not isinstance(method, kind):
                    raise ValueError(
                        f"{key} takes checkpoints of kind {kind.__name__}, and {path} is a {type(method).__name__}"
                    )
    return loaded
