"""The shape of the house: the tree that CONTRIBUTING.md shows, no circles, no long files, no arguments handed on by the dozen."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.contracts.test_imports import PACKAGES, ROOT, imports, sources

MOST_LINES = 400
MOST_PASSED_ON = 8
OTHERS = {"benchmarks", "configs", "docs", "examples", "tests"}  # folders of the table that no program imports


def rooms() -> list[str]:
    """The folders and files that CONTRIBUTING.md's table names, as they stand there: ``lightning_modules/<method>/``."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things live")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def folders() -> set[str]:
    """Those with code of the product in them; a method's folder is `lightning_modules/<method>/`."""
    found = set()
    for path in sources():
        folder = path.parent.as_posix()
        if path.suffix == ".py" and folder != ".":
            found.add(folder)
    return found


def is_method(folder: str) -> bool:
    return (ROOT / folder / "module.py").exists()


def test_the_tree_of_the_page_is_the_tree_on_disk() -> None:
    named = rooms()
    assert len(named) > 10
    missing = [name for name in named if "<" not in name and not (ROOT / name).exists()]
    assert not missing, "CONTRIBUTING.md names what is not there"
    known = {name.rstrip("/") for name in named}
    unnamed = sorted(folder for folder in folders() if not is_method(folder) and folder not in known)
    assert not unnamed, "CONTRIBUTING.md's table does not say what these folders hold"
    assert known >= OTHERS
    assert "lightning_modules/<method>" in known


def graph() -> dict[str, set[str]]:
    """Each module of the product and the modules that it imports, wherever in it."""
    modules = {path.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path for path in sources()}
    found = {}
    for name, path in modules.items():
        targets = {target if target in modules else target.rpartition(".")[0] for target in imports(ROOT / path)}
        found[name] = {target for target in targets if target in modules and target != name}
    return found


def test_no_circle() -> None:
    found = graph()
    assert any("generative.randomness" in targets for targets in found.values())
    try:
        list(TopologicalSorter(found).static_order())
    except CycleError as error:
        pytest.fail(f"files import each other in a circle: {' -> '.join(error.args[1])}")


def test_no_file_is_too_long() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in sources()}
    assert not {path: length for path, length in lengths.items() if length > MOST_LINES}


def parameters(function: ast.FunctionDef) -> set[str]:
    arguments = function.args
    return {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)} - {"self", "cls"}


def passed_on(source: str) -> Iterator[tuple[str, int]]:
    """Each function, and the most of its own parameters that it hands on unchanged, under their own names, in one call."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        own = parameters(function)
        most = 0
        for call in ast.walk(function):
            if isinstance(call, ast.Call):
                by_name = [k.arg for k in call.keywords if isinstance(k.value, ast.Name) and k.value.id == k.arg]
                by_place = [a.id for a in call.args if isinstance(a, ast.Name)]
                most = max(most, len(own.intersection(by_name) | own.intersection(by_place)))
        yield function.name, most


def test_no_function_passes_many_parameters_on() -> None:
    many = [
        f"{path}: {name} passes {count} on"
        for path in sources()
        for name, count in passed_on((ROOT / path).read_text())
        if count > MOST_PASSED_ON
    ]
    assert not many, "bundle them in an object named for what it is"


def test_what_is_passed_on_is_counted() -> None:
    names = "abcdefghi"
    source = f"def f({', '.join(names)}): return g({', '.join(names[:4])}, {', '.join(f'{n}={n}' for n in names[4:])})"
    assert dict(passed_on(source)) == {"f": 9}
    assert set(PACKAGES) <= {path.parts[0] for path in sources()}
