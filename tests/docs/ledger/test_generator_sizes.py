"""Sizes of the generator: what runs say of themselves, and rank correlations over sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.ledger import generator_sizes
from docs.ledger.generator_sizes import FILE, MEASURES, TRENDS, main
from docs.ledger.results import read_results


def run_of(folder: Path, *, width: int, seed: int, error: float, fd: float) -> Path:
    folder.mkdir()
    told = {"experiment": "dfm/digits", "train_seed": seed, "kimg": 256.0, "environment": {"processor": "a processor"}}
    tested = [{"fd": fd, "precision": 0.8, "recall": 1 - fd, "authenticity": 0.7}, {"mae": 0.1, "psnr": 30.0}]
    (folder / "results.jsonl").write_text("".join(json.dumps(told | {"metrics": metrics}) + "\n" for metrics in tested))
    shape = {"width": width, "depth": 6, "kernel": "odd"}
    (folder / "config.yaml").write_text(yaml.safe_dump({"method": {"latent_dim": 55, "shape": shape}}))
    (folder / "reconstructed").mkdir()
    drawn = {"images": 1438, "squared_error": error, "squared_error_of_mean_image": 0.3, "psnr": 30.0}
    (folder / "reconstructed" / "reconstruct_training.jsonl").write_text(json.dumps(drawn) + "\n")
    return folder


def test_trends_are_over_sizes_and_not_over_runs(
    tmp_path: Path, write_results: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator_sizes, "CHART", tmp_path / "sizes.png")
    write_results("none", [])
    (tmp_path / "results" / "dfm").mkdir()
    # Seeds scatter so that over runs the order would be lost; the means of seeds are in order.
    runs = [
        run_of(
            tmp_path / f"{width}_{seed}",
            width=width,
            seed=seed,
            error=(10 - width) + 8 * seed,
            fd=width / 10 + seed / 2,
        )
        for width in (3, 4, 5)
        for seed in (0, 1)
    ]
    main(["--collect", *(str(run) for run in runs)])
    main(["--collect", str(runs[0])])
    lines = read_results(FILE)
    assert [line["coefficients"] for line in lines] == [140, 140, 352, 352, 852, 852], (
        "a run taken in twice counts once"
    )
    assert [line["squared_error"] for line in lines[:2]] == [7.0, 15.0]
    found = {(row["size"], row["measure"]): row for row in read_results(TRENDS)}
    assert len(found) == len(MEASURES), "latents are as many in all runs"
    assert found["coefficients", "squared_error"]["rank_correlation"] == -1.0
    assert found["coefficients", "fd"]["rank_correlation"] == 1.0
    assert found["coefficients", "fd"]["sizes"] == 3
    assert (tmp_path / "sizes.png").exists()


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path / "a", width=3, seed=0, error=1.0, fd=0.1)
    (run / "reconstructed" / "reconstruct_training.jsonl").unlink()
    with pytest.raises(SystemExit):
        main(["--collect", str(run)])
    assert "task=reconstruct_training" in capsys.readouterr().err
    (run / "results.jsonl").write_text("")
    with pytest.raises(SystemExit):
        main(["--collect", str(run)])
    assert "let its training end first" in capsys.readouterr().err
