"""metrics.csv: rows by clock, new columns, appending, exact floats."""

from __future__ import annotations

from pathlib import Path

import pytest

from callbacks.loggers.csv_log import CsvLog
from records.run_files import read_metrics


def test_values_of_one_clock_share_a_row(tmp_path: Path) -> None:
    log = CsvLog(run_dir=str(tmp_path))
    log.log_metrics({"progress/kimg": 0.1, "a": 0.1 + 0.2})
    log.save()
    log.log_metrics({"progress/kimg": 0.1, "b": 1e-30})
    log.save()
    log.log_metrics({"progress/kimg": 0.2, "a": 2.0})
    log.finalize("success")
    assert read_metrics(log.path) == [
        {"progress/kimg": 0.1, "a": 0.1 + 0.2, "b": 1e-30},
        {"progress/kimg": 0.2, "a": 2.0},
    ]


def test_appends_to_a_table_that_is_there(tmp_path: Path) -> None:
    for kimg in (1.0, 2.0):
        log = CsvLog(run_dir=str(tmp_path))
        log.log_metrics({"progress/kimg": kimg, "a": kimg, f"only_{kimg:g}": 1.0})
        log.finalize("success")
    assert read_metrics(tmp_path / "metrics.csv") == [
        {"progress/kimg": 1.0, "a": 1.0, "only_1": 1.0},
        {"progress/kimg": 2.0, "a": 2.0, "only_2": 1.0},
    ]


def test_no_file_before_the_first_value(tmp_path: Path) -> None:
    log = CsvLog(run_dir=str(tmp_path))
    log.save()
    assert read_metrics(log.path) == []
    assert not log.path.exists()


def test_a_row_that_has_not_changed_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint may count it: a kill while it is written over would lose it."""
    log = CsvLog(run_dir=str(tmp_path))
    log.log_metrics({"progress/kimg": 0.1, "a": 1.0})
    log.save()
    monkeypatch.setattr("callbacks.loggers.csv_log.os.truncate", lambda *_: pytest.fail("written over"))
    log.log_metrics({"progress/kimg": 0.1, "a": 1.0})
    log.save()
    log.log_metrics({"progress/kimg": 0.2, "a": 2.0})
    log.save()
    assert len(read_metrics(log.path)) == 2


def test_a_row_of_an_earlier_process_is_taken_up(tmp_path: Path) -> None:
    """As when a run was killed after its training and is tested by the process that resumes it."""
    for values in ({"a": 1.0}, {"a": 2.0, "b": 0.1 + 0.2}):
        log = CsvLog(run_dir=str(tmp_path))
        log.log_metrics({"progress/kimg": 1.0} | values)
        log.finalize("success")
    assert read_metrics(tmp_path / "metrics.csv") == [{"progress/kimg": 1.0, "a": 2.0, "b": 0.1 + 0.2}]


def test_a_row_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("progress/kimg,a\n1.0,2.0\n2.0,1e-")
    assert read_metrics(tmp_path / "metrics.csv") == [{"progress/kimg": 1.0, "a": 2.0}]
