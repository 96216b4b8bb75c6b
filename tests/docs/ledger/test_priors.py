"""The page of latent priors, from lines as the task `midpoints` writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from docs.ledger import priors, results
from docs.ledger.ends import ENDS
from docs.ledger.midpoints import LAST, ON_THE_WAY, collect_midpoints
from docs.ledger.modes import BEATS, NOT_RUN, UNDECIDED, WORSE, compared, modes

Run = Callable[..., Path]
SPREAD = (0.99, 1.0, 1.01, 1.02, 0.98)  # of seeds: by a factor
FACTORS = {"linear": {"normal": 1.6, "radial": 1.1}, "variance_preserving": {"normal": 1.0, "radial": 1.3}}


def written(prior: str, seed: int, kimg: float, fd: float, sets: tuple[str, ...], facts: dict[str, Any]) -> list[Any]:
    line = {
        "experiment": "dcgan/digits",
        "prior": prior,
        "prior_settings": "",
        "latent_dim": 100,
        "normalization": "batch",
        "train_seed": seed,
        "kimg": kimg,
        "sampling": "running_statistics",
        "precision": 0.5,
        "recall": 0.25,
        "is": 6.0,
        "end_distance": None,
        "count": 5000,
        "num_reference": 4000,
        "extractor": "a judge",
    } | facts
    at_prior = fd * SPREAD[seed]
    lines = [line | {"what": "prior", "path": "none", "fd": at_prior}]
    for what, path in product(sets, FACTORS):
        measured = {"fd": at_prior * FACTORS[path][prior], "end_distance": 0.7}
        lines.append(line | {"what": what, "path": path} | measured)
    return lines


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("normal", 0, 30.0)``: a trained run that was measured at its end and at 25 kimg, and taken into docs/results."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    def make(prior: str, seed: int, fd: float, **facts: Any) -> Path:
        folder = tmp_path / f"{prior}_{seed}"
        for state, kimg, factor, sets in (
            ("", 200.0, 1.0, ("midpoint", "mean_8", "extrapolation_1.5")),
            ("25kimg", 25.024, 3.0, ("midpoint",)),
        ):
            path = folder / "midpoints" / state / "midpoints.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "".join(json.dumps(row) + "\n" for row in written(prior, seed, kimg, factor * fd, sets, facts))
            )
        (folder / "results.jsonl").write_text(
            json.dumps({"environment": {"processor": "a processor", "torch": "2"}}) + "\n"
        )
        collect_midpoints(folder)
        return folder

    return make


def test_a_run_measured_again_takes_the_place_of_its_lines(run: Run) -> None:
    for fd in (30.0, 40.0):
        run("normal", 0, fd)
    run("normal", 1, 50.0)
    (first, second) = (line for line in results.read_results(LAST) if line["what"] == "prior")
    assert (first["train_seed"], first["fd"], second["train_seed"], second["fd"]) == (0, 39.6, 1, 50.0)
    assert first["environment"] == {"processor": "a processor"}
    straight = [line for line in results.read_results(LAST) if line["path"] == "linear"]
    assert {line["fd_over_prior"] for line in straight} == {1.6}, "of its own model's prior"
    kimgs = {line["kimg"] for line in results.read_results(ON_THE_WAY)}
    assert kimgs == {25.0, 200.0}, "the last state too; each by the time that it was kept for"


def test_a_run_that_was_not_measured_alike_or_has_not_ended_says_what_to_do(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no midpoints.jsonl: make priors RUNS="):
        collect_midpoints(tmp_path / "nothing")
    folder = run("normal", 0, 30.0)
    state = folder / "midpoints" / "25kimg" / "midpoints.jsonl"
    state.write_text(state.read_text().replace('"count": 5000', '"count": 2500'))
    with pytest.raises(
        ValueError, match=r"different numbers of images, \[\(2500, 4000\), \(5000, 4000\)\]: make priors"
    ):
        collect_midpoints(folder)
    (folder / "results.jsonl").unlink()
    with pytest.raises(ValueError, match="let its training end first"):
        collect_midpoints(folder)


@pytest.mark.parametrize("other", [{"extractor": "another judge"}, {"count": 100}, {"num_reference": 100}])
def test_scores_by_another_judge_or_count_are_not_put_beside(run: Run, other: dict[str, Any]) -> None:
    run("normal", 0, 30.0)
    with pytest.raises(
        ValueError, match=f"has lines of dcgan/digits with {next(iter(other))} .*: measure all runs alike"
    ):
        run("radial", 0, 30.0, **other)
    run("radial", 0, 30.0, experiment="dcgan/fashion_mnist", **other)
    run("normal", 0, 30.0)


def all_runs(run: Run, seeds: int, *, normal: float, radial: float) -> None:
    for seed in range(seeds):
        run("normal", seed, normal)
        run("radial", seed, radial)


@pytest.mark.parametrize(("radial", "verdict"), [(25.0, BEATS), (30.0 / 1.1, UNDECIDED), (30.0, WORSE)])
def test_a_prior_on_straight_lines_is_held_against_the_control(radial: float, verdict: str, run: Run) -> None:
    """30 at the control's midpoints, 48 on the normal prior's straight lines: that easy opponent is none."""
    all_runs(run, 3, normal=30.0, radial=radial)
    (mode,) = modes()
    assert [str(arm) for arm in mode.arms()] == ["normal, path variance preserving", "normal", "radial"]
    (only,) = compared([mode])
    assert (str(only.arm), only.verdict) == ("radial", verdict)
    word = {BEATS: "Yes", WORSE: "No", UNDECIDED: "Not shown"}[verdict]
    words = " ".join(priors.page().split())
    assert f"**{word}.** Of 1 comparisons" in words
    price = (
        "Beside its midpoints radial has an FD of 25.0 ± 0.6 at the prior itself and a midpoint recall of 0.25 ± 0.00."
    )
    assert (price in words) == (verdict == BEATS)


def test_the_more_comparisons_the_more_each_must_show(run: Run) -> None:
    """The same order alone, and among those of three more dimensions."""
    all_runs(run, 3, normal=30.0, radial=26.3)
    (alone,) = compared(modes())
    for dim, seed in product((2, 3, 4), range(3)):
        run("normal", seed, 30.0, latent_dim=dim)
        run("radial", seed, 27.3, latent_dim=dim)  # 30.0 at midpoints, as the control
    among = compared(modes())
    assert len(among) == 4
    assert {one.arm.prior for one in among} == {"radial"}
    (same,) = (one for one in among if one.mode.latent_dim == 100)
    assert same.p == pytest.approx(4 * alone.p)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``gate(60.0)``: untrained generators of that Frechet distance were measured, and other real images."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    def measured(fd: float) -> None:
        mode = {
            "experiment": "dcgan/digits",
            "normalization": "batch",
            "latent_dim": 100,
            "sampling": "running_statistics",
        }
        lines = [mode | {"end": "untrained", "fd": fd * spread} for spread in (0.9, 1.1)]
        results.write_results(ENDS, [{"end": "real", "count": 2500, "fd": 1.25}, *lines])

    return measured


@pytest.mark.parametrize(("radial", "passes"), [(30.0, True), (30.3, False)])  # the third seed has 1.01 times as much
def test_what_fails_the_entry_gate_is_not_compared(
    radial: float, passes: bool, run: Run, gate: Callable[[float], None]
) -> None:
    """A seed at 30.3 passes a gate of 30.5, which is half of an untrained 61, and one at 30.6 does not."""
    gate(61.0)
    all_runs(run, 3, normal=20.0, radial=radial)
    (only,) = compared(modes())
    assert (only.verdict, math.isnan(only.p)) == ((WORSE, False) if passes else (NOT_RUN, True))
    words = " ".join(priors.page().split())
    assert "below 0.5 times that of the same networks before training: below 30 (" in words
    assert "2,500 other real images, of the test split, have 1.2." in words
    assert f"Not passed by: {'none' if passes else 'radial (batch norm'}" in words
    assert ("0 open, 1 not run." in words) is not passes
    assert f"among the {int(passes)} comparisons" in words


def test_a_control_that_fails_the_entry_gate_leaves_nothing_to_compare_with(
    run: Run, gate: Callable[[float], None]
) -> None:
    gate(50.0)
    all_runs(run, 3, normal=30.0, radial=20.0)
    assert [one.verdict for one in compared(modes())] == [NOT_RUN]


def test_the_page_of_one_seed_states_no_order(run: Run) -> None:
    all_runs(run, 1, normal=30.0, radial=20.0)
    text = priors.page()
    assert "**Open.**" in text
    assert "| radial | one seed | 19.80 | 21.78 | 1.10 | - | - | 6.00 | 6.00 | - |" in text
    assert "| normal | one seed | 29.70 | 47.52 | 1.60 | 39.235, 65.525 | 1.67 | 6.00 | 6.00 | 6.836, 5.656 |" in text
    assert "19.80 ±" not in text


def test_the_page_of_several_seeds_gives_intervals_and_the_course_of_training(run: Run) -> None:
    all_runs(run, 3, normal=30.0, radial=25.0)
    text = priors.page()
    assert "| normal, path variance preserving | 3 | 30.00 ± 0.75 | 30.00 ± 0.75 | 1.00 ± 0.00 |" in text
    assert "| prior | 25 | 200 |" in text
    assert "| normal | 90.0 → 144.0 | 30.0 → 48.0 |" in text
    assert "| radial | 27.50 ± 0.68 | - | 27.50 ± 0.68 | - | 27.50 ± 0.68 |" in text, "mean of 4 and 5/4 are missing"
    words = " ".join(text.split())
    assert (
        "means of 8 codes on straight lines radial has the lowest mean FD, 27.5 ± 0.7 (3); the control has 30.0 ± 0.7."
        in words
    )
    assert "5,000 images against 4,000 real ones in the features of a judge; trained on a processor." in words


def test_the_pages_words_before_anything_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    text = priors.page()
    assert "Nothing was measured yet" in text
    assert "43.501 → 76.913 (1.77)" in text, "Table 4.4, uniform"


def test_settings_are_named_where_a_prior_has_several(run: Run) -> None:
    run("radial", 0, 25.0, prior_settings="bound 0.3")
    (mode,) = modes()
    assert [str(arm) for arm in mode.arms()] == ["radial"]
    run("radial", 1, 25.0, prior_settings="bound 0.5")
    (mode,) = modes()
    assert [str(arm) for arm in mode.arms()] == ["radial (bound 0.3)", "radial (bound 0.5)"]
    assert mode.values(mode.arms()[1], "fd", "prior") == [25.0]
    assert compared([mode]) == [], "without a control there is nothing to hold against"


def test_the_chapters_way_to_draw_comes_first(run: Run) -> None:
    for seed, sampling in enumerate(("batch_statistics", "running_statistics")):
        run("normal", seed, 30.0, sampling=sampling)
    assert [mode.sampling for mode in modes()] == ["running_statistics", "batch_statistics"]


def test_the_chart_draws_each_arm_in_one_colour_over_the_images_seen(run: Run) -> None:
    all_runs(run, 1, normal=30.0, radial=20.0)
    run("radial", 1, 20.0, sampling="batch_statistics")
    panels = priors.chart(modes()).axes
    drawn = [
        {
            (line.get_label(), line.get_linestyle()): list(line.get_ydata())
            for line in panel.lines
            if "_" not in line.get_label()
        }
        for panel in panels
    ]
    assert drawn[0]["radial", "-"] == pytest.approx([3 * 21.78, 21.78])
    assert drawn[0]["normal, path variance preserving", "-"] == pytest.approx([3 * 29.7, 29.7])
    assert drawn[1].keys() == {("radial", "-")}
    colours = [line.get_color() for panel in panels for line in panel.lines if line.get_label() == "radial"]
    assert len(colours) == 2
    assert len(set(colours)) == 1


def test_the_chart_leaves_out_what_was_not_measured_on_the_way(run: Run) -> None:
    all_runs(run, 1, normal=30.0, radial=20.0)
    results.write_results(ON_THE_WAY, [line for line in results.read_results(ON_THE_WAY) if line["prior"] == "normal"])
    (panel,) = priors.chart(modes()).axes
    assert {line.get_label() for line in panel.lines if "_" not in line.get_label()} == {
        "normal, path variance preserving",
        "normal",
    }
