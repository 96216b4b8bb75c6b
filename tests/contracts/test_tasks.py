"""What generate.py offers: tasks of every method on disk, none twice, each asking for what a method can do."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from pathlib import Path

import pytest
import torch

import lightning_modules.base
import lightning_modules.tasks
from launch.build import build
from launch.compose import compose, group_options, plain
from launch.generate.tasks import GIVEN, MARKS, Task, method_kind, tasks_of
from lightning_modules.base import Draws, Method
from tests.contracts.test_imports import may_import
from tests.support.data_choice import data_for

METHODS = group_options("method")
CAPABILITIES = {
    kind
    for kind in vars(lightning_modules.base).values()
    if inspect.isclass(kind) and issubclass(kind, Method) and kind is not Method
}


def built(name: str) -> Method:
    """Untrained."""
    config = plain(compose("train", ["experiment=none", "run_dir=run", f"method={name}", data_for(f"method={name}")]))
    torch.manual_seed(0)
    return build(config)[1].eval()


def shared_tasks() -> list[Task]:
    """Those of lightning_modules/tasks."""
    folder = lightning_modules.tasks
    modules = [
        importlib.import_module(f"{folder.__name__}.{file.name}") for file in pkgutil.iter_modules(folder.__path__)
    ]
    return [
        function
        for module in modules
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and inspect.signature(function).parameters.keys() >= MARKS
    ]


@pytest.mark.parametrize("name", METHODS)
def test_tasks_of_every_method_have_names_of_their_own(name: str) -> None:
    """`tasks_of` refuses two of one name, so that it answers is the test."""
    method = built(name)
    found = tasks_of(method)
    assert found, "every method has something to show"
    for key, task in found.items():
        assert key == task.__name__
        assert inspect.signature(task).return_annotation == "list[Path]", f"{key} returns the files that it wrote"
        assert (task.__doc__ or "").strip(), f"{key} does not say what it shows"
        settings = inspect.signature(task).parameters
        assert all(p.kind is p.KEYWORD_ONLY for n, p in settings.items() if n in GIVEN), key


def test_a_name_that_a_method_takes_from_a_capability_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_modules.poly_inr import tasks

    def grid(method: Draws, output: Path, *, seed: int) -> list[Path]:
        return []

    grid.__module__ = tasks.__name__
    monkeypatch.setattr(tasks, "grid", grid, raising=False)
    with pytest.raises(ValueError, match=r"two tasks are called 'grid', in lightning_modules\.tasks\.grid and in"):
        tasks_of(built("poly_inr"))


def asked_of(task: Task) -> dict[str, type[Method]]:
    """Parameter -> the kind of method that it takes, of those that take one."""
    return {name: kind for name, hint in typing.get_type_hints(task).items() if (kind := method_kind(hint)) is not None}


def test_shared_tasks_ask_for_capabilities() -> None:
    tasks = [task for task in shared_tasks() if asked_of(task)]
    assert len(tasks) >= 10
    for task in tasks:
        first = next(iter(inspect.signature(task).parameters))
        assert first in asked_of(task), f"{task.__name__} does not say whose task it is"
        assert set(asked_of(task).values()) <= CAPABILITIES, f"{task.__name__} asks for a class"


@pytest.mark.parametrize(
    ("path", "name", "allowed"),
    [
        ("lightning_modules/tasks/grid.py", "lightning_modules.base.Draws", True),
        ("lightning_modules/tasks/grid.py", "lightning_modules.tasks.samples.draw", True),
        ("lightning_modules/tasks/grid.py", "lightning_modules.poly_inr.module.PolyINR", False),
        ("lightning_modules/tasks/grid.py", "lightning_modules.classification.Classification", False),
    ],
)
def test_shared_tasks_know_no_recipe(path: str, name: str, allowed: bool) -> None:
    """test_imports.py reads it off the source."""
    assert may_import(Path(path), name) is allowed
