"""The table of what drawn defects are worth: scores and answers by hand, and the program on made-up boards."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.defect_patches import drawn_sets
from docs.ledger import gain, gain_answers, gain_arms, gain_page
from docs.ledger.gain_answers import Cells, answer, compared, difference_lines, equal_number, read_lines, verdict
from docs.ledger.gain_arms import ARMS, Bench, Protocol, source_of
from docs.ledger.gain_scores import detection, missed, scored, threshold_at
from docs.ledger.paired import PairedOrder
from docs.ledger.screening_scores import Scores
from tests.support.defects import write_boards, write_parts

CLASSES = ["a", "b", "clean"]
LABELS = [0, 0, 1, 1, 2, 2, 2, 2]
ORIGINS = [0, 1, 1, 2, 0, 1, 2, 2]


def cell(arm: str, number: int, seed: int, named: str, **more: Any) -> dict[str, Any]:
    labels = np.array(LABELS)
    chances = np.full((8, 3), 0.1)
    chances[np.arange(8), [int(letter) for letter in named]] = 0.8
    return {
        "arm": arm, "num_real": number, "seed": seed, "size": 8, "steps": 1, "seconds": 2.0, "training_accuracy": 99.0,
        "environment": {"processor": "a processor"}, **scored(chances, labels, None), **more,
    }  # fmt: skip


TEST = {"arm": "test", "classes": CLASSES, "labels": LABELS, "origins": ORIGINS, "unseen": None}
LOW, MIDDLE, HIGH = "01102222", "00102222", "00112222"  # 2, 3 and 4 of the four defects


def cells(*lines: dict[str, Any]) -> Cells:
    return Cells.of([TEST, *lines])


def test_scores_by_hand() -> None:
    labels = np.array(LABELS)
    chances = np.array([[0.9, 0.0, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7], *[[0.0, 0.4, 0.6]] * 4])
    found = scored(chances, labels, np.array([True, False] * 4))
    assert found["named"] == "01122222"
    assert found["recalls"] == [50.0, 50.0, 100.0]
    assert found["balanced_accuracy"] == pytest.approx(100 * 2 / 3, abs=0.01)
    assert found["auroc"] == pytest.approx(75.0)  # 3 of 4 defects above all faultless ones, one below
    assert found["balanced_accuracy_unseen"] == pytest.approx(100.0)
    assert found["balanced_accuracy_seen"] == pytest.approx(100 / 3, abs=0.01)


def test_misses_at_a_share_of_false_calls() -> None:
    scores = np.array([0.9, 0.5, 0.3, 0.1, *np.linspace(0, 0.4, 5)])
    is_defect = np.array([True] * 4 + [False] * 5)
    assert missed(scores, is_defect, 0.0) == 50.0, "none of the faultless may reach the threshold, 0.4"
    assert missed(scores, is_defect, 0.2) == 50.0, "one may: the threshold is 0.3, which a defect has"
    assert missed(scores, is_defect, 0.4) == 25.0
    assert [threshold_at(scores[4:], share) for share in (0.0, 0.2, 1.0)] == pytest.approx([0.4, 0.3, 0.0])
    assert detection(scores, np.where(is_defect, 0, 1), 2)["auroc"] == pytest.approx(
        100 * np.mean([[d > c for c in scores[4:]] for d in scores[:4]] + 0.5 * (scores[:4, None] == scores[4:]))
    )


def test_differences_are_clustered_by_source_image() -> None:
    one, other = (cell(arm, 5, 0, named) for arm, named in (("rendered", HIGH), ("real", LOW)))
    order = cells(one, other).difference("rendered", "real", 5)
    assert order is not None
    assert order.differences.shape == (1, 3)
    assert order.mean == pytest.approx(one["balanced_accuracy"] - other["balanced_accuracy"], abs=0.01)
    # The first image has no difference; the second one of a's two, the third one of b's two, of three classes each.
    assert order.differences[0] == pytest.approx([0.0, 3 * 100 / 6, 3 * 100 / 6])
    assert cells(one).difference("rendered", "real", 5) is None


def test_worth_is_the_number_at_which_real_ones_do_as_well() -> None:
    assert equal_number([5, 20], np.array([60.0, 80.0]), 70.0) == pytest.approx(10.0)
    assert equal_number([5, 10, 20], np.array([60.0, 50.0, 80.0]), 65.0) == pytest.approx(10 * 2**0.25)
    assert equal_number([5, 20], np.array([60.0, 80.0]), 90.0) == pytest.approx(20.0)
    lines = [cell("real", number, seed, named) for seed in range(5) for number, named in ((5, LOW), (20, HIGH))]
    found = cells(*lines, *(cell("rendered", 5, seed, MIDDLE) for seed in range(5))).worth(5)
    assert found is not None
    assert found.more == pytest.approx(5.0, abs=0.01)
    assert found.words() == "as much as 5 further real ones a class would (5 to 5)"
    best = cells(*lines, *(cell("rendered", 5, seed, HIGH) for seed in range(5))).worth(5)
    assert best is not None
    assert best.words() == "more than 15 further real ones a class would"
    assert cells(*lines[:1]).worth(5) is None


def test_the_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [cell("real", number, seed, LOW) for seed in range(5) for number in (5, 20)]
    better = cells(*lines, *(cell("rendered", 5, seed, HIGH) for seed in range(5)))
    assert answer(better, 5).startswith(
        "With 5 real defects a class synthesis changes balanced accuracy by +33.3 points"
    )
    assert answer(better, 5).endswith("it makes no difference that shows here."), "three images decide nothing"
    assert "further real ones" not in answer(better, 5)
    with monkeypatch.context() as patch:
        patch.setattr(gain_answers, "verdict", lambda order: "use it here")
        assert answer(better, 5).endswith(", more than 15 further real ones a class would: use it here.")
    assert answer(better, 20) == ""
    assert "one seed decides nothing" in answer(cells(lines[0], cell("rendered", 5, 0, HIGH)), 5)
    for sign, words in ((1, "use it here"), (-1, "do not use it here"), (0, "it makes no difference that shows here")):
        differences = np.array([[4.0, 5.0, 6.0], [5.0, 5.5, 4.5], [4.8, 5.2, 5.0]]) * sign
        if not sign:
            differences = np.array([[1.0, -1.0, 0.5], [-0.5, 1.0, -1.0], [0.0, 0.2, -0.2]])
        assert verdict(PairedOrder("x", differences)) == words


def test_every_arm_has_a_colour_of_its_own() -> None:
    assert len(set(gain_page.COLOURS)) == len(ARMS)


def test_an_arm_is_decided_from_five_seeds_on() -> None:
    few = cells(*(cell(arm, 5, seed, named) for seed in range(3) for arm, named in (("real", LOW), ("strong", HIGH))))
    ((number, arm, _, p),) = compared(few, ["real", "strong"])
    assert (number, arm) == (5, "strong")
    assert math.isnan(p)


def test_what_claims_may_state() -> None:
    arms = (("real", LOW), ("rendered", HIGH), ("rendered_random", MIDDLE))
    lines = difference_lines(
        cells(*(cell(arm, 5, seed, named) for seed in range(5) for arm, named in arms)), list(ARMS)
    )
    found = {(line["arm"], line["against"]): line for line in lines if line["asked"] == "difference"}
    assert found.keys() == {("rendered", "real"), ("rendered_random", "real"), ("rendered", "rendered_random")}
    assert found["rendered", "real"]["points"] == pytest.approx(100 / 3, abs=0.01)
    assert found["rendered", "real"]["low"] < 100 / 3 < found["rendered", "real"]["high"]
    shares = {line["arm"]: line for line in lines if line["asked"] == "recall"}
    assert shares["real"]["recall of a"] == 50.0
    assert shares["rendered"]["recall of clean"] == 100.0
    few = cells(*(cell(arm, 5, seed, named) for seed in range(4) for arm, named in arms))
    assert not [line for line in difference_lines(few, list(ARMS)) if line["asked"] == "difference"]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gain") / "boards"
    write_boards(folder, count=5)
    return folder


def words_for(boards: Path, *more: str) -> list[str]:
    root = boards.parent
    return [
        "--data", str(boards), "--num-real", "2", "--seeds", "0", "--steps", "2", "--pictures", "8", "--size", "32",
        "--cache", str(root / "cache"),
        "--lines", str(root / "gain.jsonl"), "--page", str(root / "gain.md"), *more,
    ]  # fmt: skip


def test_the_program_goes_on_and_its_first_line_is_the_answer(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = ("real", "strong", "paste_matched", "rendered", "rendered_random", "pair_rendered")
    gain.main(words_for(boards, "--arms", *arms))
    path = boards.parent / "gain.jsonl"
    lines = read_lines(path)
    assert [line["arm"] for line in lines] == ["test", *arms]
    text = (boards.parent / "gain.md").read_text()
    assert text.startswith("With 2 real defects a class synthesis changes balanced accuracy by ")
    assert "one seed decides nothing" in text.splitlines()[0]
    for name in (gain_page.CURVE, gain_page.MISSES, gain_page.WORST):
        assert (boards.parent / "gain" / name).stat().st_size > 500
        assert f"(gain/{name})" in text
    cut = path.read_text().splitlines()
    path.write_text("\n".join(cut[:-1]) + "\n")
    measured: list[str] = []
    once = gain.Bench.cell
    monkeypatch.setattr(gain.Bench, "cell", lambda bench, *cell: (measured.append(cell[0]), once(bench, *cell))[1])
    gain.main(words_for(boards, "--arms", *arms))
    assert measured == ["pair_rendered"]
    again = json.loads(path.read_text().splitlines()[-1])
    assert again["named"] == lines[-1]["named"], "a cell is a function of its numbers"


def test_real_ones_stand_for_classes_that_a_network_drew_none_of(boards: Path) -> None:
    bench = Bench(boards, boards, source_of(boards), boards.parent / "unused", Protocol(size=32))
    real = bench.real(2, 0)
    assert real.labels.bincount().tolist() == [2] * len(bench.names)
    assert gain_arms.of_all_classes(real, real) is real
    some = real.chosen((real.labels > 1).nonzero()[:, 0])
    found = gain_arms.of_all_classes(replace(some, real=torch.zeros_like(some.real)), real)
    assert sorted(found.labels.tolist()) == sorted(real.labels.tolist())
    assert not found.real.any(), "in the place of made ones"
    assert torch.equal(found.images[-4:], real.images[real.labels <= 1])


def test_an_arm_leaves_out_the_worst_pictures(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten pictures eight stay. The tenth is a set of its own, since `inspection` holds it out."""
    bench = Bench(
        boards, boards, source_of(boards), boards.parent / "screened", Protocol(size=32, steps=2, pictures=10)
    )
    whole = bench.synthetic(2, 0, "matched")
    sizes = [len(boxed.images) for _, boxed in drawn_sets(boards.parent / "screened" / "2_0_matched", bench.source)]
    assert sizes == [9, 1]
    badness = np.array([0.0, 9, 1, 2, 3, 4, 5, 6, 7, 8])  # of the nine, and of the one
    monkeypatch.setattr(gain_arms, "scores_of", lambda sets, real, size: Scores(badness, badness))
    kept = bench.made("screened", 2, 0)
    assert kept is not None
    last = whole.origins[1:] < whole.origins[:-1]  # where the second set begins
    count = int(last.nonzero()[0]) + 1
    of_the_nine = whole.chosen(torch.arange(count)[whole.origins[:count] != 1])
    assert torch.equal(kept.images, of_the_nine.images)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-real", "6"], "--num-real 6 is more than the 5 training defects of 'open'"),
        (
            ["--steps", "3"],
            "holds cells of another set, protocol or test split: give another --lines, or remove the file",
        ),
        (["--arms", "strong"], "real and rendered answer the question: take both among --arms"),
    ],
)
def test_bad_input(
    boards: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = boards.parent / "gain.jsonl"
    if "--steps" in words:
        lines.write_text(json.dumps(TEST) + "\n")
    elif lines.exists():
        lines.unlink()
    with pytest.raises(SystemExit) as stopped:
        gain.main([*words_for(boards), *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_set_without_a_clean_picture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parts(tmp_path / "parts", count=3)
    words = [
        "--data",
        str(tmp_path / "parts"),
        "--num-real",
        "2",
        "--seeds",
        "0",
        "--steps",
        "1",
        "--cache",
        str(tmp_path / "cache"),
    ]
    own = ["--lines", str(tmp_path / "x.jsonl"), "--page", str(tmp_path / "x.md")]
    with pytest.raises(SystemExit):
        gain.main([*words, *own])
    assert "parts/clean is no folder: put pictures that show no defect there, or give" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        gain.main([*words, "--clean", str(tmp_path / "parts" / "faultless"), *own])
    assert "no image shows a defect: label some" in capsys.readouterr().err
