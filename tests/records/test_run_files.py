"""Files that grow line by line: what a crash cut short is lost alone. Pictures whose names say when and how large."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch.train.run_folder import cut_rows_after
from records.run_files import append_line, grid_facts, grid_name, read_lines, read_metrics

FIRST, SECOND = {"kimg": 1.0, "metrics": {"fd": 0.5}}, {"kimg": 2.0}


def test_a_cut_last_line_is_lost_alone() -> None:
    path = Path("results.jsonl")
    append_line(path, FIRST)
    whole = path.read_bytes()
    text = json.dumps(SECOND).encode()
    for length in range(len(text)):
        path.write_bytes(whole + text[:length])
        assert read_lines(path) == [FIRST]
        append_line(path, SECOND)
        assert read_lines(path) == [FIRST, SECOND]
    path.write_bytes(whole + text)  # whole but for the end of its line, as an editor may leave it
    assert read_lines(path) == [FIRST, SECOND]
    append_line(path, FIRST)
    assert read_lines(path) == [FIRST, SECOND, FIRST]


@pytest.mark.parametrize("line", ['{"kimg": 1.0, "met{"kimg": 2.0}', "[1]", "", "\x00\x00"])
def test_a_line_that_is_no_record_is_named(line: str) -> None:
    Path("results.jsonl").write_text(f"{json.dumps(FIRST)}\n{line}\n{json.dumps(SECOND)}\n")
    with pytest.raises(ValueError, match=r"^results\.jsonl cannot be read: remove its line 2, which is no record$"):
        read_lines(Path("results.jsonl"))


def test_rows_of_a_table_are_read_whole_or_not() -> None:
    path = Path("metrics.csv")
    path.write_text("progress/kimg,metric/fd\n1.0,0.5\n2.0,0.1234")  # of 0.12345678
    assert read_metrics(path) == [{"progress/kimg": 1.0, "metric/fd": 0.5}]
    cut_rows_after(Path(), 5.0)
    assert path.read_text() == "progress/kimg,metric/fd\n1.0,0.5\n"
    for row in ("1.0,many", "1.0,0.5,3"):
        path.write_text(f"progress/kimg,metric/fd\n{row}\n")
        with pytest.raises(ValueError, match=r"^metrics\.csv cannot be read: its line 2 is no row of numbers"):
            read_metrics(path)


def test_a_grid_is_named_so_that_its_clock_and_size_are_read_off() -> None:
    names = [grid_name(kimg, size) for kimg, size in ((2.0, 64), (10.0, 8), (0.112, 8))]
    assert names[0] == "kimg_000002.000_64px.png"
    assert sorted(names) == [names[2], names[0], names[1]], "by time"
    assert [grid_facts(Path(name)) for name in names] == [(2.0, "64px"), (10.0, "8px"), (0.112, "8px")]
