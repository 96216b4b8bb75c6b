"""The time left is told by the recent pace: a run whose stages differ in theirs ends when it says."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch

from callbacks import progress
from callbacks.progress import Progress


def test_the_time_left_follows_the_recent_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the images at 1,000 a second, then 100 a second: ten minutes after the change the average is still 510."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock.now)
    method = SimpleNamespace(images_seen=0, losses={"loss/mae": torch.tensor(0.5)})
    callback = Progress(max_kimg=1200, log_every_seconds=20.0)
    callback.on_train_start(SimpleNamespace(is_global_zero=True), method)  # type: ignore[arg-type]
    told = []
    for _ in range(1200):
        clock.now += 1.0
        method.images_seen += 1000 if clock.now <= 600 else 100
        callback.on_train_batch_end(SimpleNamespace(), method)  # type: ignore[arg-type]
    for line in capsys.readouterr().err.splitlines():
        found = re.fullmatch(r"([\d.]+) of 1200 kimg, (\d+) images/s, (?:(\d+):)?(\d+):(\d+) left, mae 0.5", line)
        assert found is not None, line
        hours, minutes, seconds = (int(part or 0) for part in found.groups()[2:])
        told.append((int(found[2]), 3600 * hours + 60 * minutes + seconds))
    assert len(told) == 60
    assert told[9] == (1000, 1000), "1,200 images a thousandth of a second each, 200 seconds in"
    assert told[-1] == (100, 5400), "540,000 images are left at 100 a second"
    assert told[35][1] == pytest.approx(5880, abs=1), "two minutes after the change it has forgotten what was before"
