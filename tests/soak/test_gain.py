"""Cells of what drawn defects are worth, measured two at a time: the lines of one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.ledger import gain
from docs.ledger.gain_answers import read_lines
from docs.ledger.results import Line
from tests.support.defects import write_boards

TIMES = ("seconds", "drawing_seconds")


@pytest.mark.soak
def test_two_at_a_time_are_as_one_after_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_boards(tmp_path / "boards", count=5)
    found: list[list[Line]] = []
    for jobs in (1, 2):
        words = (
            f"--num-real 2 3 --seeds 0 1 --steps 2 --pictures 8 --size 32 --arms real rendered --jobs {jobs}".split()
        )
        out = tmp_path / f"{jobs}"
        files = ["--cache", str(out / "cache"), "--lines", str(out / "x.jsonl"), "--page", str(out / "x.md")]
        gain.main(["--data", str(tmp_path / "boards"), *words, *files])
        lines = [
            {key: value for key, value in line.items() if key not in TIMES} for line in read_lines(out / "x.jsonl")
        ]
        found.append(sorted(lines, key=lambda line: (str(line["arm"]), line.get("num_real", 0), line.get("seed", 0))))
    assert found[0] == found[1]
    assert len(found[0]) == 9
    with pytest.raises(SystemExit):  # what ends a worker ends the program with its sentence
        gain.main(
            [
                "--data",
                str(tmp_path / "boards"),
                *words,
                "--num-real",
                "2",
                "--seeds",
                "7",
                "8",
                "--clean",
                str(tmp_path / "no"),
                *files,
            ]
        )
    assert "no is no folder" in capsys.readouterr().err
