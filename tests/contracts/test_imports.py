"""Who may import whom: the four rules of CONTRIBUTING.md, read off the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("generative", "metrics", "lightning_modules", "datamodules", "records", "callbacks", "launch")
PROGRAMS = ("train", "evaluate", "generate", "compare", "sweep")
OURS = (*PACKAGES, "configs", *PROGRAMS)
HARNESS = ("lightning", "pytorch_lightning", "hydra", "wandb")
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: write the whole name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def may_import(path: Path, name: str) -> bool:
    package, *inner = path.parts
    top = name.split(".")[0]
    if package == "generative":
        return top not in {*OURS, *HARNESS} or name.startswith("generative.")
    if package == "metrics":
        return top not in {*OURS, *HARNESS} or name.startswith(("generative.", "metrics."))
    if package == "lightning_modules" and inner[0] == "tasks":  # of every method that has a capability: no recipe
        return top not in {*OURS, "hydra", "wandb"} or (
            name.startswith(("generative.", "metrics.", "lightning_modules.tasks.")) or is_method_contract(name)
        )
    if package == "lightning_modules":
        shared = tuple(f"lightning_modules.{path.stem}." for path in (ROOT / package).glob("*.py"))
        own = f"lightning_modules.{inner[0]}." if len(inner) > 1 else "lightning_modules.base."
        tasks = ("lightning_modules.tasks.",) if len(inner) > 1 else ()
        return top not in {*OURS, "hydra", "wandb"} or name.startswith(
            ("generative.", "metrics.", *shared, *tasks, own)
        )
    if path == Path("datamodules/synthesize.py") and name.startswith("launch."):
        return True  # a program, which no data module imports
    if package == "datamodules":
        allowed = (
            "datamodules.",
            *(f"generative.{room}." for room in ("rendering", "randomness", "augmentation", "schedules")),
        )
        return top not in {*OURS, "hydra", "wandb"} or name.startswith(allowed)
    if package == "records":
        return top not in {"launch", "callbacks", *PROGRAMS, *HARNESS} and is_contract(name)
    if package == "callbacks":
        return top not in {"launch", *PROGRAMS} and is_contract(name)
    # train.py and its siblings, and what they share, never name a method; they may look through the package.
    return name in ("lightning_modules", "lightning_modules.tasks") or is_contract(name)


def is_contract(name: str) -> bool:
    """Whether ``name`` is no method, and nothing that only methods share."""
    return not name.startswith("lightning_modules.") or is_method_contract(name)


def is_method_contract(name: str) -> bool:
    """Whether it is what others may ask of a method."""
    return name.startswith(("lightning_modules.base.", "lightning_modules.labels."))


def sources() -> list[Path]:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    programs = [ROOT / f"{name}.py" for name in PROGRAMS]
    return [path.relative_to(ROOT) for path in [*files, *programs]]


def test_rules_hold() -> None:
    files = sources()
    assert len(files) > 30
    broken = [f"{path} imports {name}" for path in files for name in imports(ROOT / path) if not may_import(path, name)]
    assert not broken


def test_no_name_says_nothing() -> None:
    assert not [path for path in sources() if path.stem in VAGUE_NAMES or set(path.parts) & VAGUE_NAMES]


def test_wandb_is_imported_by_its_logger_and_its_agent() -> None:
    found = {str(path) for path in sources() if any("wandb" in name.lower() for name in imports(ROOT / path))}
    assert found == {"callbacks/loggers/wandb_log.py", "launch/sweep/server.py"}
    assert "wandb_log" not in "".join((ROOT / path).read_text() for path in sources() if path.name != "wandb_log.py")


FAMILIES = ("generative.rendering.inspection", "generative.rendering.defects")


def other_family(path: Path, name: str) -> bool:
    """Whether a file of one family of renderers imports the other one: what draws tests must not draw what is trained on."""
    own = ".".join(path.parts[:3])
    return own in FAMILIES and any(f"{name}.".startswith(f"{family}.") for family in FAMILIES if family != own)


def test_the_rendered_world_and_the_synthesiser_do_not_know_each_other() -> None:
    assert any(path.parts[:3] == ("generative", "rendering", "inspection") for path in sources())
    assert not [(path, name) for path in sources() for name in imports(ROOT / path) if other_family(path, name)]
    planted = "generative.rendering.defects.curves.fit"
    assert other_family(Path("generative/rendering/inspection/world.py"), planted)
    assert not other_family(Path("generative/rendering/defects/placement.py"), planted)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("generative/networks/critic.py", "lightning.pytorch.Trainer"),
        ("generative/networks/critic.py", "lightning_modules.base.Method"),
        ("lightning_modules/poly_inr/module.py", "lightning_modules.dgm.networks.DGM"),
        ("lightning_modules/poly_inr/module.py", "callbacks.samples.SampleGrid"),
        ("callbacks/samples.py", "lightning_modules.poly_inr.module.PolyINR"),
        ("datamodules/digits.py", "metrics.functional.precision_recall"),
        ("train.py", "lightning_modules.poly_inr.module.PolyINR"),
    ],
)
def test_a_broken_rule_is_found(path: str, name: str) -> None:
    assert not may_import(Path(path), name)
