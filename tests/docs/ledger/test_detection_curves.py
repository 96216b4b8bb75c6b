"""Curves of drawn probes beside those of real defects: what is counted, and what is said without a curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.patches.windows import Windows
from docs.ledger import detection_curves
from docs.ledger.detection_curves import chart, curve_of, measured, section, sizes_of
from docs.ledger.gain_arms import Bench, Protocol, source_of
from docs.ledger.results import Line
from tests.support.defects import KINDS, write_boards


def test_a_known_curve_is_found() -> None:
    random = np.random.default_rng(0)
    sizes = np.exp(random.uniform(0, 4, 4000))
    found = random.uniform(size=4000) < 1 / (1 + np.exp(-(-4 + 2 * np.log(sizes))))
    line = curve_of(sizes, found)
    true = np.exp((4 + np.log(9)) / 2)
    assert line["a90"] == pytest.approx(true, rel=0.1)
    assert line["a90"] < line["a90_95"] < 1.2 * line["a90"]
    assert line["hits"].count("1") == found.sum()


def test_without_a_curve_it_says_why() -> None:
    line = curve_of(np.array([3.0, 4.0, 5.0]), np.array([True, True, True]))
    assert "a90" not in line
    assert line["why"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root = tmp_path_factory.mktemp("curves")
    write_boards(root / "boards", count=5)
    torch.set_num_threads(1)
    boards = root / "boards"
    return Bench(boards, boards, source_of(boards), root / "cache", Protocol(size=32, steps=2, pictures=6))


@pytest.fixture(scope="module")
def lines(bench: Bench) -> list[Line]:
    found = [*measured(bench, "boards", 2, 0, 0.25)]
    known, probes = bench.synthetic(2, 0, "matched"), bench.probes(2, 0)
    assert not torch.equal(known.images[:10], probes.images[:10]), "what no classifier has learned from"
    assert (sizes_of(probes) > 2).all()
    return found


def test_real_defects_and_probes(lines: list[Line]) -> None:
    real, probes = lines
    assert (real["source"], probes["source"]) == ("real", "probes")
    assert len(real["hits"]) == len(real["sizes"]) == 2 * len(KINDS)
    assert len(probes["hits"]) > 20
    # The smallest defects of the boards have 6 x 9 pixels, the largest 5 x 14 and 9 x 11.
    assert min(real["sizes"]) > 6
    assert max(real["sizes"]) < 12


def test_found_is_what_looks_less_faultless_than_the_faultless(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is sure of all but the last probe."""

    def sure(network: object, windows: Windows, size: int, *, paired: bool) -> np.ndarray:
        chances = np.full((len(windows), len(KINDS) + 1), 0.01)
        chances[:, -1] = np.where(windows.labels.numpy() == len(KINDS), 0.9, 0.1)
        chances[-1, -1] = 0.95
        return chances

    monkeypatch.setattr(detection_curves, "predicted", sure)
    monkeypatch.setattr(bench, "learned", lambda *cell: (None, 0.0))
    real, probes = measured(bench, "boards", 2, 0, 0.25)
    assert real["hits"].count("0") <= 1
    assert probes["hits"].count("0") == 1


def test_the_section_and_the_chart(lines: list[Line], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fitted = lines[0] | {"intercept": -4.0, "slope": 2.0, "a90": 22.2, "a90_95": 25.0}
    monkeypatch.setattr(detection_curves, "read_results", lambda name: [fitted, lines[1]])
    text = "\n".join(section())
    assert "| boards | 2 | 25 % | 0 | real defects of the test split | 12 |" in text
    assert "22.2 | 25.0 |" in text
    share = 100 * lines[1]["hits"].count("1") / len(lines[1]["hits"])
    assert f"of the probes {share:.1f} %." in " ".join(text.split())
    chart([fitted, lines[1]]).savefig(tmp_path / "chart.png")
    monkeypatch.setattr(detection_curves, "read_results", lambda name: [])
    assert list(section()) == []
