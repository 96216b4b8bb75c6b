"""Losses and throughput of the steps after the last row, and of runs shorter than one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from records.run_files import read_metrics


def test_a_short_run_has_its_losses_and_its_seconds(small_run: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps where rows are due every 0.064 kimg, two more after a resumption, and four without a stop."""
    settings = ("callbacks.losses.every_kimg=0.064", "callbacks.metrics.every_kimg=0")
    folder, _ = small_run("max_kimg=0.032", *settings)
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert "| training " in printed
    (row,) = read_metrics(folder / "metrics.csv")
    assert {"loss/critic", "loss/generator", "throughput/train_seconds", "throughput/images_per_second"} <= row.keys()

    small_run("max_kimg=0.064", *settings, "resume=auto", "callbacks.throughput.every_kimg=0")
    assert "| training " in capsys.readouterr().out, "the seconds of the first part are known"
    whole, _ = small_run("max_kimg=0.064", *settings, "callbacks.throughput.every_kimg=0", run_dir=folder.parent / "b")
    assert "training" not in capsys.readouterr().out, "not measured, not said"
    rows = {name: read_metrics(run / "metrics.csv") for name, run in {"stopped": folder, "whole": whole}.items()}
    losses = {name: [{k: v for k, v in r.items() if "loss/" in k} for r in found] for name, found in rows.items()}
    assert losses["stopped"][1:] == losses["whole"], "the row after the stop is the mean of all four steps"
    assert "throughput/train_seconds" not in rows["whole"][0]
