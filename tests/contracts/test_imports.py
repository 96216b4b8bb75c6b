"""Who may import whom: the four rules of CONTRIBUTING.md, read off the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = (
    "generative",
    "lightning_modules",
    "datamodules",
    "callbacks",
    "launch",
    "configs",
    "train",
    "evaluate",
    "generate",
    "compare",
    "sweep",
)
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
    if package == "lightning_modules" and len(inner) > 1:
        own = f"lightning_modules.{inner[0]}."
        shared = tuple(f"lightning_modules.{name}." for name in ("base", "classification", "held_out", "samples"))
        allowed = ("generative.", *shared, own)
        return top not in {*OURS, "hydra", "wandb"} or name.startswith(allowed)
    if package == "lightning_modules":
        allowed = ("generative.", *(f"lightning_modules.{name}." for name in ("steps", "base", "held_out")))
        return top not in {*OURS, "hydra", "wandb"} or name.startswith(allowed)
    if package == "datamodules":
        allowed = ("datamodules.", "generative.rendering.", "generative.randomness.", "generative.augmentation.")
        return top not in {*OURS, "hydra", "wandb"} or name.startswith(allowed)
    if package == "callbacks":
        return top != "launch" and (top != "lightning_modules" or name.startswith("lightning_modules.base."))
    # train.py and its siblings, and what they share, never name a method; they may look through the package.
    return top != "lightning_modules" or name == top or name.startswith("lightning_modules.base.")


def sources() -> list[Path]:
    packages = ("generative", "lightning_modules", "datamodules", "callbacks", "launch")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    programs = [ROOT / f"{name}.py" for name in ("train", "evaluate", "generate", "compare", "sweep")]
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
    assert found == {"callbacks/wandb_log.py", "launch/sweeps/server.py"}
    assert "wandb_log" not in "".join((ROOT / path).read_text() for path in sources() if path.name != "wandb_log.py")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("generative/networks/critic.py", "lightning.pytorch.Trainer"),
        ("generative/networks/critic.py", "lightning_modules.base.Method"),
        ("lightning_modules/poly_inr/module.py", "lightning_modules.dgm.networks.DGM"),
        ("lightning_modules/poly_inr/module.py", "callbacks.samples.SampleGrid"),
        ("callbacks/samples.py", "lightning_modules.poly_inr.module.PolyINR"),
        ("datamodules/digits.py", "generative.metrics.functional.precision_recall"),
        ("train.py", "lightning_modules.poly_inr.module.PolyINR"),
    ],
)
def test_a_broken_rule_is_found(path: str, name: str) -> None:
    assert not may_import(Path(path), name)
