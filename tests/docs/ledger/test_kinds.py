"""What each kind of claim makes of results."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from docs.ledger.kinds import read_claim
from docs.ledger.orders import FEW_SEEDS, Row, decided

SAYS = {"where": "Table 1", "says": "It works"}


class Linear(torch.nn.Linear):
    """A network to count: 7 parameters more than a thousand of them."""

    def __init__(self, *, width: int) -> None:
        super().__init__(width, 1, bias=False)


def row(kind: str, **keys: Any) -> Row:
    return read_claim({"kind": kind, **SAYS, **keys}, place="a page").row()


def test_a_value_is_stated_with_the_facts_of_its_runs(write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.9, 0.8, 0.7], cross_entropy=[0.1, 0.1, 0.1])
    claim = {"of": {"experiment": "dgm/digits"}, "measures": {"right": "accuracy"}, "verdict": "an arm"}
    assert row("value", **claim) == Row(
        "Table 1",
        "It works",
        "right 0.8000 ± 0.2484",
        "0, 1, 2",
        "a processor",
        "40",
        "`python train.py experiment=dgm/digits seed=<seed>`",
        "an arm",
    )
    assert row("value", **claim | {"command": "`make it`"}).command == "`make it`"
    claim["of"] = {"experiment": "classifier/digits"}
    assert row("value", **claim) == Row(**SAYS, verdict=FEW_SEEDS)
    assert row("value", **claim, unmeasured="runs next week") == Row(**SAYS, verdict="runs next week")


@pytest.mark.parametrize(
    ("bounds", "passes"),
    [
        ({"accuracy": {"at_least": 0.8}}, True),
        ({"accuracy": {"at_least": 0.81}}, False),
        ({"cross_entropy": {"at_most": 0.2}}, True),
        ({"cross_entropy": {"at_most": 0.19}}, False),
        ({"accuracy": {"at_least": 0.8, "at_most": 0.89}}, False),
        ({"accuracy": {"at_least": 0.8}, "cross_entropy": {"at_most": 0.1}}, False),
    ],
)
def test_every_seed_must_keep_to_every_bound_of_a_gate(bounds, passes: bool, write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.9, 0.8], cross_entropy=[0.1, 0.2])
    claim = {"of": {"experiment": "dgm/digits"}, "measures": {"right": "accuracy"}, "gate": {"bounds": bounds}}
    assert row("gate", **claim).verdict.startswith("reproduced at this scale" if passes else "not reproduced")
    assert row("gate", **claim, passes="yes", fails="no").verdict == ("yes" if passes else "no")


def test_words_are_filled_with_numbers_of_results(write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.9, 0.8])
    fills = {"judge": {"results": "dgm/digits", "value": "accuracy", "take": "lowest", "digits": 2}}
    claim = {"of": {"experiment": "dgm/digits"}, "measures": {"right": "accuracy"}, "verdict": "an arm"}
    assert row("value", **claim | {"says": "judge {judge}", "fills": fills}).says == "judge 0.80"
    del fills["judge"]["take"]
    assert row("value", **claim | {"says": "judge {judge}", "fills": fills}).says == "judge 0.85"
    with pytest.raises(ValueError, match=r"nothing to fill \{jugde\} in with; did you mean 'judge'"):
        row("value", **claim | {"says": "judge {jugde}", "fills": fills})


ARMS = {"better": {"experiment": "dgm/digits"}, "worse": {"experiment": "classifier/digits"}}


def test_an_order_goes_the_way_that_its_measure_is_better(write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.9, 0.91, 0.92], cross_entropy=[0.9, 0.91, 0.92])
    write_runs("classifier/digits", accuracy=[0.1, 0.11, 0.12], cross_entropy=[0.1, 0.11, 0.12])
    rows = [row("order", measure="accuracy", **ARMS), row("order", measure="cross_entropy", called="CE", **ARMS)]
    higher, lower = decided(rows)
    assert (higher.verdict, lower.verdict) == (
        "reproduced at this scale",
        "not reproduced at this scale: the other way round",
    )
    assert higher.ours.startswith("accuracy +0.8000, 95 % interval")
    assert lower.ours.startswith("CE 8.3 times, 95 % interval"), "a distance: as a ratio"
    assert (higher.seeds, higher.kimg) == ("0, 1, 2", "40")
    assert higher.command == "`python train.py experiment=dgm/digits` and `classifier/digits`"


def test_an_order_of_few_seeds_is_open(write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.9, 0.91, 0.92])
    write_runs("classifier/digits", accuracy=[0.1, 0.11])
    assert row("order", measure="accuracy", **ARMS) == Row(**SAYS, verdict=FEW_SEEDS)
    assert row("order", measure="accuracy", **ARMS, unmeasured="soon") == Row(**SAYS, verdict="soon")
    write_runs("classifier/digits", accuracy=[0.1, 0.11, 0.12])
    assert row("order", measure="accuracy", **ARMS).order is not None


def test_an_order_under_a_condition_is_not_stated_where_that_fails(write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.9, 0.91, 0.92])
    write_runs("classifier/digits", accuracy=[0.1, 0.11, 0.12])
    given = {"of": ARMS["better"], "gate": {"bounds": {"accuracy": {"at_least": 0.9}}}, "otherwise": "not stated"}
    assert row("order", measure="accuracy", given=given, **ARMS).verdict == ""
    given["gate"]["bounds"]["accuracy"]["at_least"] = 0.91
    assert row("order", measure="accuracy", given=given, **ARMS).verdict == "not stated"


def test_an_order_of_what_a_task_wrote(write_results, write_runs) -> None:
    write_runs("dgm/digits", accuracy=[0.5, 0.5, 0.5])
    shares = {"moments": [0.5, 0.6, 0.7], "means": [0.1, 0.2, 0.3], "middle": [0.4]}
    lines = [{"map": kind, "share": value} for kind, values in shares.items() for value in values]
    write_results("dgm/maps", lines)
    arms = {
        name: {"experiment": "dgm/digits", "results": "dgm/maps", "only": {"map": kind}}
        for name, kind in (("better", "moments"), ("worse", "means"))
    }
    words = {
        "ours": "{each}; means {means}; the middle {middle}",
        "fills": {"middle": {"results": "dgm/maps", "only": {"map": "middle"}, "value": "share"}},
    }
    found = row("order", measure="share", direction="higher", **arms, **words)
    assert found.ours == "0.500, 0.600, 0.700 against 0.100, 0.200, 0.300; means 0.600 against 0.200; the middle 0.400"
    assert found.order is not None
    assert not found.order.lower


def test_an_order_of_one_experiment_tells_of_both_arms_runs(write_results) -> None:
    """One early state against the last one: their budgets differ, and the page says so."""
    told = {"experiment": "dgm/digits", "environment": {"processor": "a processor"}, "share": 0.5}
    lines = [told | {"train_seed": seed, "kimg": kimg} for kimg in (25.0, 200.0) for seed in (0, 1, 2)]
    write_results("dgm/states", lines)
    arms = {
        name: {"experiment": "dgm/digits", "results": "dgm/states", "only": {"kimg": kimg}}
        for name, kimg in (("better", 200.0), ("worse", 25.0))
    }
    found = row("order", measure="share", direction="higher", **arms)
    assert (found.kimg, found.seeds, found.hardware) == ("200 against 25", "0, 1, 2", "a processor")
    assert found.command == "`python train.py experiment=dgm/digits`"


def two_times(write_results, early: dict[int, float], late: dict[int, float]) -> dict[str, Any]:
    """The arms of an order of states by seed."""
    told = {"experiment": "dgm/digits", "environment": {"processor": "a processor"}}
    states = [(kimg, *pair) for kimg, found in ((25.0, early), (200.0, late)) for pair in found.items()]
    lines = [told | {"kimg": kimg, "train_seed": seed, "share": share} for kimg, seed, share in states]
    write_results("dgm/states", lines)
    of = {"experiment": "dgm/digits", "results": "dgm/states"}
    return {name: of | {"only": {"kimg": kimg}} for name, kimg in (("better", 200.0), ("worse", 25.0))}


def test_paired_arms_are_compared_run_by_run(write_results) -> None:
    arms = two_times(write_results, {0: 0.1, 1: 0.4, 2: 0.7, 3: 0.9}, {2: 0.8, 0: 0.2, 1: 0.5})
    order = row("order", measure="share", direction="higher", paired=True, **arms).order
    assert order is not None
    assert (order.better, order.worse, order.paired) == ([0.2, 0.5, 0.8], [0.1, 0.4, 0.7], True)


def test_two_lines_of_a_seed_are_not_two_seeds(write_results) -> None:
    arms = two_times(write_results, {0: 0.1, 1: 0.4, 2: 0.7}, {0: 0.1, 1: 0.4, 2: 0.7})
    arms["better"] = arms["better"] | {"only": {}}
    with pytest.raises(ValueError, match=r"has several lines of a seed with .* say by 'only' which are meant"):
        row("order", measure="share", direction="higher", **arms)


RANKING = {
    "of": "dgm/found",
    "named_by": "space",
    "each": "{name} {psnr:.1f}",
    "measure": "psnr",
    "ours": "{images} images: {rows}",
    "command": "`python train.py experiment={experiment}`",
    "verdict": "{best} has the highest",
}


def test_a_ranking_names_the_best_row(write_results) -> None:
    values = {"z": 20.0, "w": 23.0, "affine": 22.0}
    path = write_results("dgm/found", [{"space": name, "psnr": psnr, "images": 9} for name, psnr in values.items()])
    record = {"experiment": "dgm/digits", "train_seed": 4, "kimg": 40.0, "environment": {"processor": "a processor"}}
    path.with_suffix(".json").write_text(json.dumps(record))
    found = row("ranking", **RANKING)
    assert (found.ours, found.verdict) == ("9 images: z 20.0, w 23.0, affine 22.0", "w has the highest")
    assert (found.seeds, found.command) == ("4", "`python train.py experiment=dgm/digits`")
    assert row("ranking", **RANKING | {"called": {"w": "W"}}).ours == "9 images: z 20.0, W 23.0, affine 22.0"
    expected = RANKING | {"best": "affine", "verdict": "as said", "otherwise": "not as said"}
    assert row("ranking", **expected).verdict == "not as said"
    assert row("ranking", **expected, among=["z", "affine"]).verdict == "as said"
    write_results("dgm/found", [{"space": name, "psnr": 1.0, "fd": fd, "images": 9} for name, fd in values.items()])
    assert row("ranking", **RANKING | {"measure": "fd"}).verdict == "z has the highest", "of a distance the lowest"
    with pytest.raises(ValueError, match="has no row 'afine'; did you mean 'affine'"):
        row("ranking", **expected | {"best": "afine"})
    with pytest.raises(ValueError, match="'best' and 'otherwise' go together"):
        row("ranking", **RANKING | {"best": "affine"})


COUNTED = {"constructor": f"{__name__}.Linear", "command": "`pytest`"}


def test_a_count_is_of_a_network_that_takes_no_memory() -> None:
    network = {"settings": {"width": 10**12}, "printed": "1000000.0"}
    beside = {"shapes": [[2, 1000], [50_000]], "are": "a grid", "short": "that"}
    found = row("count", **COUNTED, network=network, beside=beside)
    assert found.ours == "1,000,000,000,000; 1,000,000,052,000 with a grid"
    assert found.verdict == "not reproduced with that counted (1000000.0 M without)"
    network["printed"] = "1000000.1"
    assert row("count", **COUNTED, network=network, beside=beside).verdict.startswith("reproduced with that")
    assert (found.seeds, found.hardware, found.command) == ("-", "any (counted, not trained)", "`pytest`")


def test_counts_say_which_rows_are_otherwise() -> None:
    networks = {
        "one": {"settings": {"width": 1_004_000}, "printed": "1.00"},
        "two": {"settings": {"width": 1_006_000}, "printed": "1.00"},
    }
    found = row("counts", **COUNTED, networks=networks, how="as inferred")
    assert found.ours == "otherwise: two 1,006,000 (1.00 M printed)"
    assert found.verdict == "1 of 2 rows reproduced to the printed digit, as inferred"
    networks["two"]["printed"] = "1.01"
    assert row("counts", **COUNTED, networks=networks, how="as inferred").ours == "all as printed"
    counted_by = f"{__name__}.half"
    assert row("counts", **COUNTED, counted_by=counted_by, networks=networks, how="so").verdict.startswith("0 of 2")


def half(network: Linear) -> int:
    return network.in_features // 2


def test_the_arguments_of_a_counted_network_are_looked_up() -> None:
    claim = {"networks": {"one": {"settings": {"widht": 1}, "printed": "1.0"}}, "how": "so"}
    with pytest.raises(ValueError, match=r"has no argument 'widht' .*did you mean 'width'"):
        row("counts", **COUNTED, **claim)
    with pytest.raises(ValueError, match=r"'lightning_modules.none.Network', which cannot be found"):
        row("counts", **COUNTED | {"constructor": "lightning_modules.none.Network"}, **claim)


COMPUTED = {"of": "dgm/densities", "command": "`make`", "holds": "as printed", "otherwise": "not as printed"}


@pytest.mark.parametrize(
    ("asked", "says", "holds"),
    [
        ({"printed": "0.31"}, "KL 0.31 (printed 0.31)", True),
        ({"printed": "0.307"}, "KL 0.306 (printed 0.307)", False),
        ({"bounds": {"at_most": 0.3062}}, "KL 0.3062", True),
        ({"bounds": {"at_most": 0.3061}, "digits": 1}, "KL 0.3", False),
        ({"printed": "0.31", "bounds": {"at_least": 0.4}}, "KL 0.31 (printed 0.31)", False),
        ({}, "KL 0.3062", True),
    ],
)
def test_a_computed_value_is_as_printed_and_within_its_bounds(asked, says: str, holds: bool, write_results) -> None:
    write_results("dgm/densities", [{"density": "uniform", "kl": 0.30618}, {"density": "normal", "kl": 0.1534}])
    values = {"KL": {"only": {"density": "uniform"}, "value": "kl", **asked}}
    found = row("computed", **COMPUTED, values=values)
    assert (found.ours, found.verdict) == (says, "as printed" if holds else "not as printed")
    assert (found.seeds, found.hardware, found.command) == ("-", "any (computed, not trained)", "`make`")


def test_every_computed_value_must_hold_and_is_of_one_row(write_results) -> None:
    write_results("dgm/densities", [{"density": "uniform", "kl": 0.3}, {"density": "normal", "kl": 0.1}])
    values = {name: {"only": {"density": name}, "value": "kl", "printed": "0.3"} for name in ("uniform", "normal")}
    assert row("computed", **COMPUTED, values=values).verdict == "not as printed"
    with pytest.raises(ValueError, match=r"2 lines of docs/results/dgm/densities.jsonl have \{\}, and one is meant"):
        row("computed", **COMPUTED, values={"KL": {"value": "kl"}})


def test_what_was_not_measured_says_what_it_needs() -> None:
    assert row("untested", needs="GPUs for days") == Row(**SAYS, verdict="not testable here: needs GPUs for days")
