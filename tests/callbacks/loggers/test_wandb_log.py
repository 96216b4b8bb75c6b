"""Weights & Biases, offline: what its files hold, read back; one id for one run; a run goes on without it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from wandb.proto.wandb_internal_pb2 import Record

from callbacks.loggers.wandb_log import WandbLog, main, push, run_id
from launch.checkpoint import read_checkpoint
from records.run_files import read_metrics

BLOCK, HEADER = 32768, 7  # of the files' format, LevelDB's log
SMALL = (
    "logger=wandb",
    "callbacks.losses.every_kimg=0.016",
    "callbacks.throughput.every_kimg=0.016",
    "callbacks.samples.every_kimg=0.032",
    "callbacks.metrics.every_kimg=0.032",
)


def records(path: Path) -> Iterator[Record]:
    """What a .wandb file holds: records cut into chunks with a checksum, a length and first, middle or last."""
    data, position, record = path.read_bytes(), HEADER, b""
    while position < len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER:  # no chunk begins there
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        position += HEADER + length
        record += data[position - length : position]
        if kind in (1, 4):  # whole, or the last chunk
            yield Record.FromString(record)
            record = b""


class OfflineRun:
    """One offline folder, as a dashboard would get it."""

    def __init__(self, folder: Path) -> None:
        (self.path,) = folder.glob("run-*.wandb")
        self.media = folder / "files"
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.axes: dict[str, str] = {}
        for record in records(self.path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.id, self.group, self.display_name = (
                    record.run.run_id,
                    record.run.run_group,
                    record.run.display_name,
                )
                self.is_resumed = record.run.resumed
            for update in [*record.run.config.update, *record.config.update]:
                self.config[update.key] = json.loads(update.value_json)
            for item in record.summary.update:
                self.summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
            if kind == "metric":
                self.axes[record.metric.glob_name] = record.metric.step_metric
            if kind == "history":
                self.history.append(
                    {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
                )

    def numbers(self) -> list[dict[str, float]]:
        """The rows without W&B's own columns and pictures."""
        rows = [{k: v for k, v in row.items() if not k.startswith(("_", "samples/"))} for row in self.history]
        return [row for row in rows if len(row) > 1]

    def pictures(self) -> dict[float, Path]:
        """progress/kimg -> the file of the grid that belongs to it."""
        found = {}
        for row in self.history:
            if "samples/8px._type" in row:
                names = row["samples/8px.filenames"]
                found[row["progress/kimg"]] = self.media / names[0]
                assert row["samples/8px.captions"] == [f"{row['progress/kimg']:g} kimg"]
        return found


def offline_runs(run_dir: Path) -> list[OfflineRun]:
    return [OfflineRun(folder) for folder in sorted((run_dir / "wandb").glob("offline-run-*"))]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "MODE", "CACHE_DIR", "DATA_DIR", "ARTIFACT_DIR", "CONSOLE", "SILENT"):
        monkeypatch.setenv(f"WANDB_{name}", "")  # so that what the test sets is taken back after it
        monkeypatch.delenv(f"WANDB_{name}")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    monkeypatch.setenv("WANDB_SILENT", "true")


def check_is_the_table(run: OfflineRun, run_dir: Path, *, after: float = -1.0) -> None:
    """Its rows and pictures are those of the run folder later than ``after`` kimg."""
    table = [row for row in read_metrics(run_dir / "metrics.csv") if row["progress/kimg"] > after]
    assert run.numbers() == table, "the same names and the same bits"
    assert [row["_step"] for row in run.history] == sorted({row["_step"] for row in run.history})
    assert all(row["_step"] == round(1000 * row["progress/kimg"]) for row in run.history), "a row for each clock value"
    grids = {float(path.stem.split("_")[1]): path for path in (run_dir / "samples").glob("kimg_*")}
    shown = run.pictures()
    assert shown.keys() == {kimg for kimg in grids if kimg > after}
    for kimg, path in shown.items():
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", kimg


@pytest.mark.soak
def test_an_offline_run_is_whole_resumes_and_is_pushed_later(
    program: Callable, small_run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, home = tmp_path / "run", tmp_path / "home"
    settings = ("experiment=none", "datamodule.batch_size=16", "num_threads=1", f"run_dir={folder}")
    done = program("train.py", *settings, *SMALL, "max_kimg=0.064", env={"HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*wandb*")), "home folders have quotas"

    (first,) = offline_runs(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert {key: first.config[key] for key in config} == config, "nested, as in config.yaml"
    assert first.axes["*"] == "progress/kimg"
    assert (first.group, first.display_name) == ("none/poly_inr-digits", "run")
    check_is_the_table(first, folder)
    assert len(first.numbers()) == 4
    assert len(first.pictures()) == 3
    assert first.summary["results"][0]["metrics"] == json.loads((folder / "results.jsonl").read_text())["metrics"]
    assert first.id == read_checkpoint(folder / "checkpoints" / "last.ckpt")["dashboards"]["WandbLog"]

    # The requeued run has moved and has lost the file with its id: the checkpoint has it too.
    moved = folder.rename(tmp_path / "moved")
    (moved / "wandb_id").unlink()
    small_run(*SMALL, "max_kimg=0.096", "resume=auto", run_dir=moved)
    wandb.teardown()
    _, second = offline_runs(moved)
    assert second.id == first.id
    check_is_the_table(second, moved, after=0.064)

    other, _ = small_run(*SMALL, "max_kimg=0.112", f"resume={moved}/checkpoints/last.ckpt", run_dir=tmp_path / "other")
    wandb.teardown()
    assert offline_runs(other)[0].id != first.id, "continued in a new folder: a new run"

    push(moved, project=None, mode="offline")
    wandb.teardown()
    pushed = offline_runs(moved)[-1]
    assert pushed.id == first.id
    assert pushed.config["seed"] == 0
    check_is_the_table(pushed, moved)
    assert len(pushed.numbers()) == 6
    assert pushed.summary["results"] == second.summary["results"]


def test_a_bad_key_leaves_an_offline_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "too short")
    log = WandbLog(run_dir=str(tmp_path / "run"), project="p", group="g", init_timeout_seconds=1)
    log.log_metrics({"progress/kimg": 0.016, "loss/a": 1.0}, step=16)
    told = capsys.readouterr().err
    assert "W&B cannot be reached (WANDB_API_KEY invalid" in told
    assert "goes on offline, push it later with `python -m callbacks.loggers.wandb_log" in told
    wandb.teardown()
    (run,) = offline_runs(tmp_path / "run")
    assert run.numbers() == [{"progress/kimg": 0.016, "loss/a": 1.0}]


def test_a_training_outlives_its_dashboard(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed:
        id = "x"

        def log(self, *args: Any, **kwargs: Any) -> None:
            raise ConnectionResetError("Connection lost")

    log = WandbLog(run_dir=str(tmp_path), project="p", group="g")
    log.run = Killed()  # type: ignore[assignment]
    log.log_metrics({"progress/kimg": 1.0}, step=1000)
    log.log_metrics({"progress/kimg": 2.0}, step=2000)
    log.finalize("success")
    assert capsys.readouterr().err.count("W&B failed (Connection lost): this run goes on without") == 1

    (tmp_path / "file").touch()
    log = WandbLog(run_dir=str(tmp_path / "file"), project="p", group="g")  # no folder can be made there
    log.log_metrics({"progress/kimg": 1.0}, step=1000)
    assert "this run goes on without" in capsys.readouterr().err


def test_other_ranks_start_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    log = WandbLog(run_dir=str(tmp_path / "run"), project="p", group="g")
    log.log_metrics({"progress/kimg": 1.0}, step=1000)
    assert log.experiment is None
    assert not (tmp_path / "run").exists()


def test_an_id_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_text("cut short")
    assert run_id(tmp_path) == run_id(tmp_path) != run_id(tmp_path / "other")


def test_only_run_folders_are_pushed(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["wandb_log", str(tmp_path), "--offline"])
    with pytest.raises(SystemExit):
        main()
    assert "is no run folder: it has no config.yaml" in capsys.readouterr().err
    assert not os.listdir(tmp_path)
