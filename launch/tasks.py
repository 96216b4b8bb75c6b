"""What a trained method can show: the public functions of the `tasks.py` in its folder, found by name."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch.compose import check_type
from launch.errors import did_you_mean
from lightning_modules.base import Method

Task = Callable[..., list[Path]]  # task(method, output, *, seed, **options) -> the files it wrote
GIVEN = {"seed"}
MARKS = {"output", "seed"}  # the parameters that make a function of tasks.py a task


def tasks_of(method: Method) -> dict[str, Task]:
    """Name -> task of the method's folder; empty where it has no tasks.py."""
    name = type(method).__module__.rpartition(".")[0] + ".tasks"
    if importlib.util.find_spec(name) is None:
        return {}
    module = importlib.import_module(name)
    functions = inspect.getmembers(module, inspect.isfunction)
    return {
        key: task
        for key, task in functions
        if task.__module__ == name and inspect.signature(task).parameters.keys() >= MARKS
    }


def find_task(method: Method, name: str) -> Task:
    tasks = tasks_of(method)
    if name not in tasks:
        offered = f"it offers {', '.join(tasks)}" if tasks else "it offers none"
        raise ValueError(f"{type(method).__name__} has no task {name!r}: {offered}")
    return tasks[name]


def check_options(task: Task, options: dict[str, Any]) -> None:
    """ValueError for a setting that the task does not know."""
    known = [
        name for name, p in inspect.signature(task).parameters.items() if p.kind is p.KEYWORD_ONLY and name not in GIVEN
    ]
    hints = typing.get_type_hints(task)
    for key, value in options.items():
        if key not in known:
            raise ValueError(f"task {task.__name__} has no setting {key!r}{did_you_mean(key, known)}")
        check_type(key, value, hints.get(key))
