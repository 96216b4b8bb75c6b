"""How results are read and stated."""

from __future__ import annotations

import pytest

from docs.ledger import results
from docs.ledger.results import Arm, checked_direction, directions, facts, interval, read_results, selected, stated
from lightning_modules.classifier.module import Classifier


def test_interval_is_students() -> None:
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(2.484, abs=1e-3), "three seeds: 2.5 standard deviations"


def test_values_are_stated_with_their_interval() -> None:
    lines = [{"metrics": {"fd": value, "accuracy": value}} for value in (1.0, 2.0, 3.0)]
    assert (stated(lines, "fd"), stated(lines, "accuracy")) == ("2.000 ± 2.484", "2.0000 ± 2.4841")
    assert stated(lines[:1], "fd") == "1.000 (one seed)"


def test_a_direction_is_that_of_the_measures() -> None:
    assert (checked_direction("fd", None), checked_direction("accuracy", None)) == ("lower", "higher")
    assert checked_direction("auroc", "higher") == "higher", "a value that only a task knows"
    with pytest.raises(ValueError, match=r"leave out 'direction': the measure 'fd' has one, which is 'lower'"):
        checked_direction("fd", "higher")
    with pytest.raises(ValueError, match="there is no measure 'recal'; did you mean 'recall'"):
        checked_direction("recal", None)


def test_a_measure_that_only_a_method_names_needs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classifier, "measures", {"bits_per_dim": "lower"}, raising=False)
    directions.cache_clear()
    try:
        assert checked_direction("bits_per_dim", None) == "lower"
        assert checked_direction("energy_inside", None) == "higher", "and those of all groups of metrics/measures.py"
    finally:
        directions.cache_clear()


def test_lines_are_chosen_by_what_they_have(write_results) -> None:
    write_results("dgm/maps", [{"map": "moments", "share": 0.5}, {"map": "means", "share": 0.6}])
    assert selected("dgm/maps", {"map": "means"}) == [{"map": "means", "share": 0.6}]
    assert selected("dgm/none", {"map": "means"}) == []
    with pytest.raises(
        ValueError, match=r"no line of docs/results/dgm/maps.jsonl has the key 'mpa'; did you mean 'map'"
    ):
        selected("dgm/maps", {"mpa": "means"})
    with pytest.raises(ValueError, match=r"no line of docs/results/dgm/maps.jsonl has \{'map': 'mean'\}"):
        selected("dgm/maps", {"map": "mean"})


def test_values_and_their_runs_are_as_many(write_results, write_runs) -> None:
    """Or the page would state seeds and hardware of other runs than those that were measured."""
    write_runs("dgm/digits", accuracy=[0.9, 0.8])
    write_results("dgm/apart", [{"experiment": "dgm/digits", "auroc": 0.9}, {"experiment": "another", "auroc": 0.1}])
    arm = Arm("dgm/digits", results="dgm/apart")
    assert arm.values("auroc") == [0.9]
    with pytest.raises(ValueError, match=r"tells of 2 runs of dgm/digits, but there are values of 1: name the file"):
        arm.run_lines()
    with pytest.raises(ValueError, match="these results have no 'auroq'; did you mean 'auroc'"):
        arm.values("auroq")


def test_what_all_lines_have_stands_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    lines = [{"prior": "normal", "fd": fd, "kimg": 200.0, "sampling": None} for fd in (1.0, 2.0)]
    lines[1]["note"] = None  # the first line lacks it: None in one line is not None in all
    path = results.write_results("dcgan/rows", lines)
    assert read_results("dcgan/rows") == lines
    header, *rest = path.read_text().splitlines()
    assert header == '{"every_line": {"prior": "normal", "kimg": 200.0, "sampling": null}}'
    assert rest == ['{"fd": 1.0}', '{"fd": 2.0, "note": null}']


def test_lines_that_are_awaited_may_be_missing(write_results) -> None:
    """Models of one prior are trained and those of another are not yet; a misspelt key fails all the same."""
    write_results("dgm/maps", [{"map": "moments", "share": 0.5}])
    assert selected("dgm/maps", {"map": "means"}, awaited=True) == []
    assert Arm("dgm/digits", results="dgm/maps", only={"map": "means"}, awaited=True).values("share") == []
    with pytest.raises(ValueError, match="has the key 'mpa'"):
        selected("dgm/maps", {"mpa": "means"}, awaited=True)


def test_lines_may_tell_of_their_runs_themselves(write_results, write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.9, 0.8])
    own = {"experiment": "dgm/digits", "train_seed": 7, "kimg": 25.0, "environment": {"processor": "another"}}
    write_results("dgm/apart", [own | {"auroc": 0.9}])
    arm = Arm("dgm/digits", results="dgm/apart")
    assert facts(arm.run_lines(), "") == {"seeds": "7", "hardware": "another", "kimg": "25", "command": ""}
    (line,) = Arm("dgm/digits", results="dgm/apart", runs="dgm/apart").run_lines()
    assert line["auroc"] == 0.9
