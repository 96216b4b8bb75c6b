"""Cells of the table of detectors by the programs themselves: a network, a set drawn through it, a detector, tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.ledger import detection_arms, detection_page, realness_page
from docs.ledger.gain_answers import read_lines
from tests.support.defects import write_boards


@pytest.mark.soak
def test_cells_by_the_programs_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_boards(tmp_path / "set", count=12)
    monkeypatch.setattr(detection_arms, "PAGE", tmp_path / "page.md")
    for module in (detection_page, realness_page):
        monkeypatch.setattr(module, "FOLDER", tmp_path / module.__name__)
    words = [
        "--data", str(tmp_path / "set"), "--num-real", "2", "--seeds", "0", "--arms", "real", "refined", "--kimg", "0.016",
        "--lines", str(tmp_path / "lines.jsonl"), "--cache", str(tmp_path / "cache"), "--jobs", "2",
    ]  # fmt: skip
    detection_arms.main(words)
    lines = {line["arm"]: line for line in read_lines(tmp_path / "lines.jsonl")}
    assert set(lines) == {"real", "refined"}
    assert sum(lines["refined"]["made"].values()) > 100
    for line in lines.values():
        assert 0 <= line["scores"]["map"] <= 1
        assert line["validation"]
    assert (tmp_path / "lines.png").exists()
    assert not (tmp_path / "page.md").exists(), "lines of one's own leave the page of published ones"
