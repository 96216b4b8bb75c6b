"""The page of a sweep: order, axes, and text that stays text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from launch.sweep.journal import Trial
from launch.sweep.report import MAX_SHOWN, Axis, best_command, best_trial, rows, write_sweep_report
from tests.launch.sweep.test_search import sweep_of

PARAMETERS = {
    "x": {"distribution": "log_uniform_values", "min": 0.001, "max": 1.0},
    "kind": {"values": ["a", "it is b"]},
    "one": {"value": 1},
}
TRIALS = [
    Trial(0, {"x": 0.01, "kind": "a", "one": 1}, state="failed", kind="error", why="no <room> & no time"),
    Trial(1, {"x": 0.1, "kind": "it is b", "one": 1}, state="done", objective=3.0, seconds=61.0),
    Trial(2, {"x": 0.5, "kind": "a", "one": 1}, state="done", objective=2.0),
    Trial(3, {"x": 0.5, "kind": "a", "one": 1}, state="stopped_early", objective=1.0),
]


def test_the_best_ran_to_its_end() -> None:
    low, high = sweep_of("random", PARAMETERS), sweep_of("random", PARAMETERS, goal="maximize")
    assert best_trial(low, TRIALS) == TRIALS[2], "a trial that was stopped is no answer"
    assert best_trial(high, TRIALS) == TRIALS[1]
    assert best_trial(low, TRIALS[:1]) is None
    assert [row[0] for row in rows(low, TRIALS)] == ["trial", "3", "2", "1", "0"]
    assert [row[0] for row in rows(high, TRIALS)] == ["trial", "1", "2", "3", "0"]
    assert rows(low, TRIALS)[3] == ["1", "done", "3", "0.1", "it is b", "01:01", ""], "constants have no column"
    assert best_command(low, TRIALS[1]) == "python train.py x=0.1 'kind=it is b' one=1", "as a shell takes it"


def test_axes_have_round_ticks_and_bear_one_value() -> None:
    assert Axis.over([0.0, 10.0], is_log=False).ticks() == [0, 5, 10]
    assert Axis.over([0.13, 0.52], is_log=False).ticks() == [0.2, 0.3, 0.4, 0.5]
    assert Axis.over([0.0002, 0.01], is_log=True).ticks() == [0.0003, 0.001, 0.003, 0.01]
    assert Axis.over([2.0, 2.5], is_log=True).ticks() == [2.0, 2.5]
    assert Axis.over([0.01, 1.0], is_log=True).place(0.1) == pytest.approx(0.5)
    for is_log in (False, True):
        assert Axis.over([4.0, 4.0], is_log=is_log).place(4.0) == pytest.approx(0.5)


def test_the_page_is_whole(tmp_path: Path) -> None:
    sweep = sweep_of("random", PARAMETERS)
    page = write_sweep_report(tmp_path, sweep, TRIALS, num_trials=9).read_text()
    assert "4 of 9 trials" in page
    assert "no &lt;room&gt; &amp; no time" in page
    assert page.count("<svg") == 3, "in time, over x, over kind"
    assert page.count("<circle") == 9
    assert 'href="trials' not in page, "no trial has left anything"
    (stairs,) = re.findall(r'<path d="M([^"]+)"', page)
    assert len(stairs.split("L")) == 6
    assert write_sweep_report(tmp_path, sweep, [], num_trials=9).read_text().count("<svg") == 0


def test_trials_are_linked_and_show_their_last_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of them, in the order of the table; the page stays within its bytes however large the pictures are."""
    monkeypatch.setattr("records.pages.PICTURE_BYTES", 120_000)
    sweep = sweep_of("random", PARAMETERS)
    trials = [
        Trial(k, {"x": 0.1, "kind": "a", "one": 1}, state="done", objective=float(k)) for k in range(MAX_SHOWN + 3)
    ]
    for trial in trials:
        samples = tmp_path / trial.place / "samples"
        samples.mkdir(parents=True)
        for kimg in (0, 10):
            Image.effect_noise((300, 200), 90).save(samples / f"kimg_{kimg:010.3f}_8px.png")
        (tmp_path / f"{trial.place}.log").touch()
    (tmp_path / "trials" / "0002" / "report.html").touch()
    page = write_sweep_report(tmp_path, sweep, trials, num_trials=20).read_text()
    assert page.count("<img ") == MAX_SHOWN
    assert re.findall(r"<figcaption>trial (\d+) · metric/fd \d+ · 8px · 10 kimg", page) == [
        str(k) for k in range(MAX_SHOWN)
    ]
    assert '<td><a href="trials/0002/report.html">2</a> · <a href="trials/0002.log">log</a></td>' in page
    assert '<td>3 · <a href="trials/0003.log">log</a></td>' in page, "a page that is not there is not linked"
    assert 60_000 < len(page) < 150_000
