"""The table of losses on digits, from made-up runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from docs.ledger.losses import read_run, table
from launch.compose import compose, plain


def run_of(folder: Path, *, loss: str, seed: int = 0, distances: tuple[float, float] = (40.0, 10.0)) -> Path:
    """A run folder of 20 kimg with a Frechet distance at 1 and at 20."""
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "kimg_000020.032_8px.png").touch()
    settings = [f"+loss={loss}", f"seed={seed}", "max_kimg=20", "experiment=dcgan/digits", "run_dir=run"]
    (folder / "config.yaml").write_text(yaml.safe_dump(plain(compose("train", settings))))
    rows = f"1.024,{distances[0]}\n10,\n20.032,{distances[1]}\n"
    (folder / "metrics.csv").write_text("progress/kimg,metric/fd_pixels_1438\n" + rows)
    return folder


def test_a_row_a_loss_with_the_best_first(tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path / "a", loss="wasserstein_clipping"),
        run_of(tmp_path / "b", loss="mmd_fixed", distances=(30.0, 6.0)),
        run_of(tmp_path / "c", loss="mmd_fixed", seed=1, distances=(50.0, 10.0)),
    ]
    page = table([read_run(folder) for folder in runs])
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows[1:] == [
        "| `mmd_fixed` | 0, 1 | 313 | 40.0 (30.0 to 50.0) | 8.0 (6.0 to 10.0) | 20% |",
        "| `wasserstein_clipping` | 0 | 62 | 40.0 | 10.0 | 25% |",
    ]
    assert "for loss in mmd_fixed wasserstein_clipping; do" in page
    assert "seed=0,1 max_kimg=20 " in page


def test_a_run_that_is_none_of_these_is_refused(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "late", loss="hinge")
    (folder / "metrics.csv").write_text("progress/kimg,metric/fd_pixels_1438\n10,3\n20.032,2\n")
    with pytest.raises(
        ValueError, match=r"late was not measured from 1 kimg to its end: train it with callbacks\.metrics"
    ):
        read_run(folder)
    folder = run_of(tmp_path / "other", loss="hinge")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["method"]["weight_limit"] = 0.5
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match="no file of configs/loss gives dcgan/digits the method of run"):
        read_run(folder)
