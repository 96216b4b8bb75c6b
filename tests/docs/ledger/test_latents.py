"""The page on samplers of latents, from folders as tasks of ReGene write them and from runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.ledger import results
from docs.ledger.latents import TASKS, collect, collect_run
from docs.ledger.latents_page import FILES, charts, page
from docs.ledger.results import read_results

Folder = Callable[..., Path]
MEASURES = {"precision": 0.9, "authenticity": 0.5, "accuracy": 0.99, "tstr_accuracy": 0.98}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """``folder(0, convex_2=(0.7, 0.5))``: what task samplers wrote of a run, arms by FD and recall."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    def make(seed: int, *, extractor: str = "pixels", joint: float | None = None, **arms: tuple[float, float]) -> Path:
        path = tmp_path / f"out_{seed}_{extractor}_{joint}"
        path.mkdir()
        shared = {
            "count": 100,
            "reference": "digits:all",
            "extractor": extractor,
            "joint": joint,
            "judge_accuracy": 0.992,
        }
        lines = [shared | MEASURES | {"arm": arm, "fd": fd, "recall": recall} for arm, (fd, recall) in arms.items()]
        (path / "samplers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        record = {
            "experiment": "regene/digits",
            "train_seed": seed,
            "kimg": 8.0,
            "environment": {"processor": "a processor"},
        }
        (path / "samplers.json").write_text(json.dumps(record))
        return path

    return make


def test_a_page_of_nothing_says_what_to_type(folder: Folder) -> None:
    assert "Nothing was measured yet: `python -m docs.ledger.latents" in page()


def test_arms_are_stated_over_seeds_and_those_that_beat_means_of_pixels_are_named(folder: Folder) -> None:
    for seed in range(3):
        collect(
            folder(
                seed, variance_2=(0.2 + 0.01 * seed, 0.8), convex_2=(0.7, 0.4), pixels_2=(0.8, 0.5), training=(0.1, 0.9)
            )
        )
    text = page()
    assert "| variance_2 | 3 | 0.210 ± 0.025 | 0.900 ± 0.000 | 0.800 ± 0.000 |" in text
    assert "in every seed: variance_2 (FD 0.26 times)." in " ".join(text.split())
    assert text.index("| convex_2 | 3") < text.index("| variance_2 | 3") < text.index("| pixels_2 | 3"), (
        "as tables have them"
    )
    assert "| `regene/digits` | pixels | 2 | 0.990 ± 0.000 | 0.700 ± 0.000 | 0.400 ± 0.000 |" in text, "Figure 6a"
    assert list(charts()) == ["regene/digits"]


def test_where_no_sampler_beats_means_of_pixels_the_nearest_is_named(folder: Folder) -> None:
    collect(folder(0, convex_2=(0.9, 0.9), variance_2=(0.72, 0.4), pixels_2=(0.8, 0.5), training=(0.1, 0.9)))
    words = "No sampler of latents beats the mean of two images' pixels by FD and by recall in every seed; the nearest by FD is"
    assert f"{words} variance_2, 0.90 times." in " ".join(page().split())


def test_an_arm_that_gave_up_and_an_autoencoder_have_rows_of_their_own(folder: Folder) -> None:
    path = folder(0, convex_2=(0.9, 0.9), pixels_2=(0.8, 0.5))
    lines = [json.loads(line) for line in (path / "samplers.jsonl").read_text().splitlines()]
    lines.append({key: lines[0][key] for key in ("count", "reference", "extractor", "joint")})
    lines[-1] |= {"arm": "variance_2_filtered", "gave_up": "class 3: 1000 tries made no image"}
    (path / "samplers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    collect(path)
    collect(folder(0, joint=0.0, convex_2=(0.5, 0.5)))
    text = page()
    assert "| variance_2_filtered | 1 | gave up |" in text
    assert "| convex_2 (autoencoder) | 1 | 0.500 |" in text


def test_lines_take_the_place_of_those_of_the_same_run_and_arm(folder: Folder) -> None:
    path = folder(0, convex_2=(0.9, 0.9), variance_2=(0.3, 0.9))
    collect(path)
    (path / "samplers.jsonl").write_text(
        (path / "samplers.jsonl").read_text().splitlines()[0].replace('"fd": 0.9', '"fd": 0.5') + "\n"
    )
    collect(path)
    assert {line["arm"]: line["fd"] for line in read_results(FILES["samplers"])} == {"convex_2": 0.5, "variance_2": 0.3}


def test_what_cannot_be_taken_in_is_said(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"has no lines of {', '.join(TASKS)}: python generate.py"):
        collect(tmp_path)


def test_runs_are_taken_in_by_what_they_say_of_themselves(folder: Folder, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump({"method": {"joint": 1.0}, "datamodule": {}}))
    shared = {"experiment": "regene/digits", "train_seed": 0, "kimg": 8.0, "environment": {"processor": "a processor"}}

    def record(task: str, **metrics: float) -> dict[str, Any]:
        return shared | {"protocol": {"task": task, "data": "digits:test"}, "metrics": metrics}

    records = [record("reconstruction", mae=0.05), record("classification", accuracy=0.98)]
    (run / "results.jsonl").write_text(json.dumps(records[0]) + "\n")
    with pytest.raises(ValueError, match="has no accuracy of a test stage: let its training end first"):
        collect_run(run)
    (run / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in records))
    collect_run(run)
    (line,) = read_results(FILES["runs"])
    assert (line["mae"], line["accuracy"], line["joint"]) == (0.05, 0.98, 1.0)
