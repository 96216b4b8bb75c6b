"""Results of the tests' own in place of docs/results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.ledger import results


@pytest.fixture
def write_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[dict[str, Any]]], Path]:
    """``write_results("dgm/digits", lines)``: from now on docs/results has what was written, and nothing else."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    def write(name: str, lines: list[dict[str, Any]]) -> Path:
        path = results.results_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


@pytest.fixture
def write_runs(write_results) -> Callable[..., Path]:
    """``write_runs("dgm/digits", accuracy=[0.9, 0.8])``: results of one run a value, of the seeds 0, 1, ..."""

    def write(experiment: str, **measures: list[float]) -> Path:
        lines = [
            {
                "experiment": experiment,
                "metrics": dict(zip(measures, values, strict=True)),
                "train_seed": seed,
                "kimg": 40.0,
                "environment": {"processor": "a processor"},
            }
            for seed, values in enumerate(zip(*measures.values(), strict=True))
        ]
        return write_results(experiment, lines)

    return write
