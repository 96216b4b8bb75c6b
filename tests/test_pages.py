"""What the pages say is there: files, functions, tasks, settings; and they are short enough to be read."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launch.sweep.sweep_file import check_against_train, read_sweep
from lightning_modules import base
from tests.conftest import ROOT
from tests.contracts.test_imports import sources

CARDS = sorted((ROOT / "lightning_modules").glob("*/README.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *CARDS,
]
MOST_COLUMNS = 120
MOST_LINES = 100  # of the README: two screens
FIRST_SCREEN = 35  # lines of a card before its second heading


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> Iterator[str]:
    """The lines of a page that somebody writes: no tables, and nothing between the two marks of `make claims`."""
    written = re.sub(r"<!-- results.*?<!-- end of results -->", "", text, flags=re.DOTALL)
    return (line for line in written.splitlines() if not line.lstrip().startswith("|"))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_no_line_is_too_long(path: Path) -> None:
    assert not [line for line in prose(path.read_text()) if len(line) > MOST_COLUMNS]


def test_the_readme_fits_on_two_screens() -> None:
    assert 60 < len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", CARDS, ids=name_of)
def test_a_card_says_on_its_first_screen_what_to_type_and_what_came_out(path: Path) -> None:
    first = path.read_text().split("\n## ")[0]
    assert len(first.splitlines()) <= FIRST_SCREEN
    assert "```bash\npython " in first, "a command"
    assert re.search(r"!\[[^]]+\]\(.+\.png\)", first), "a picture"
    assert re.search(r"^\| .*paper", first, re.MULTILINE), "a table of our numbers beside the paper's"


def names_in(path: Path) -> set[str]:
    """What a file defines: functions, classes and their members (``Class.member``), constants."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {f"{node.name}.{member.name}" for member in node.body if isinstance(member, ast.FunctionDef)}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def functions_named(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each ``path.py`` or ``path.py: name, name`` between backticks."""
    for code in re.findall(r"`([^`\n]+)`", text):
        match = re.fullmatch(r"([\w/]+\.py)(?:: ([\w., ]+))?", code)
        if match:
            yield match[1], [name for name in (match[2] or "").split(", ") if name]


def places_of(file: str, page: Path) -> list[Path]:
    """Where a page's ``file`` may lie: beside the page, at the root, or, of a name without folders, in any room."""
    near = [folder / file for folder in (page.parent, ROOT) if (folder / file).exists()]
    return near or ([] if page in CARDS or "/" in file else [ROOT / path for path in sources() if path.name == file])


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_file_and_function_named_is_there(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for file, names in functions_named(text):
        places = places_of(file, path)
        assert places, f"{name_of(path)} names {file}"
        missing = set(names) - names_in(places[0])
        assert not missing, f"{name_of(path)} says that {file} has {sorted(missing)}"


def test_the_functions_of_cards_are_looked_for() -> None:
    found = [named for card in CARDS for named in functions_named(card.read_text())]
    assert len(found) > 20
    assert any(names for _, names in found)
    assert ("plain.py", ["render_plainly", "Other.member"]) in functions_named(
        "`plain.py: render_plainly, Other.member`"
    )
    assert {"Method", "Method.count_images"} <= names_in(ROOT / "lightning_modules" / "base.py")


def test_the_capabilities_of_the_page_are_those_of_the_code() -> None:
    """Each class of base.py that is a method, with the members that the page says one writes."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Capabilities\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    named = {kind.strip(" `"): re.findall(r"`(\w+)`", written) for kind, written, _ in rows}
    kinds = {
        name: kind for name, kind in vars(base).items() if isinstance(kind, type) and issubclass(kind, base.Method)
    }
    assert named.keys() == kinds.keys()
    for name, members in named.items():
        known = {
            member for kind in kinds[name].__mro__ for member in (*vars(kind), *vars(kind).get("__annotations__", ()))
        }
        assert members, name
        assert set(members) - kinds.keys() <= known, f"a {name} has none of {sorted(set(members) - known)}"
    named_tasks = {kind.strip(" `"): set(tasks_named(gained)) for kind, _, gained in rows}
    for kind, tasks in named_tasks.items():
        assert tasks == shared_tasks_of(kind), kind
    assert {"grid", "topology"} < named_tasks["Draws"]


def tasks_named(text: str) -> Iterator[str]:
    for part in re.findall(r"tasks? ([^;:,.]*(?:, `\w+`)*)", text):
        yield from re.findall(r"`(\w+)`", part)


def shared_tasks_of(capability: str) -> set[str]:
    """Functions ``task(method: capability, output, ...)`` of lightning_modules/tasks."""
    found = set()
    for path in (ROOT / "lightning_modules" / "tasks").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and [a.arg for a in node.args.args[:2]] == ["method", "output"]:
                asked = node.args.args[0].annotation
                if isinstance(asked, ast.Name) and asked.id == capability:
                    found.add(node.name)
    return found


def tasks_on_disk() -> set[str]:
    """Functions ``task(method, output, ...)`` of lightning_modules."""
    found = set()
    for path in (ROOT / "lightning_modules").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and [a.arg for a in node.args.args[:2]] == ["method", "output"]:
                found.add(node.name)
    return found


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_task_named_is_there(path: Path) -> None:
    known = tasks_on_disk()
    assert {"grid", "samples"} <= known
    assert not set(re.findall(r"\btask=(\w+)", path.read_text())) - known


def test_the_sweep_file_of_the_page_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "sweeps.md").read_text(), re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    sweep = read_sweep(path)
    check_against_train(sweep)
    assert sweep.count_trials(None) == 16


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "generate.py", "compare.py", "sweep.py"])
def test_help_begins_with_what_to_type(script: str, program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = program(script, "--help")
    assert done.returncode == 0
    first = done.stdout.split("== Configuration groups ==")[0].splitlines()
    assert len(first) < 40
    assert [line for line in first if line.strip().startswith((f"python {script} ", f"usage: {script} "))], first
    assert max(map(len, first)) <= MOST_COLUMNS
