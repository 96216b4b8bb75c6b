"""What the documents say is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from docs.floor import floor
from docs.ledger import FEW_SEEDS, Claim, Order, compared, decided, holm, interval, read_results
from docs.make_claims import published
from launch.compose import compose, group_options, plain
from launch.data_sets import make_datamodule
from metrics.evaluation import Instruments, evaluate
from metrics.features import Pixels
from metrics.image_sets import ImagesInMemory
from metrics.splits import real_images
from records.settings_hash import earlier_settings_hash, settings_hash
from tests.conftest import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "lightning_modules").glob("*/README.md"),
]


def test_claims_are_made_from_the_results() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.make_claims", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_interval_is_students() -> None:
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(2.484, abs=1e-3), "three seeds: 2.5 standard deviations"


HIGH, LOW, NEAR = [3.0, 3.1, 3.2], [1.0, 1.1, 0.9], [2.9, 3.2, 3.0]


def test_an_order_is_reproduced_reversed_or_undecided() -> None:
    for better, worse, lower in ((HIGH, LOW, False), (LOW, HIGH, True)):
        assert Order("x", better, worse, lower=lower).verdict(0.049) == "reproduced at this scale"
        assert Order("x", worse, better, lower=lower).verdict(0.049).endswith("the other way round")
        assert Order("x", better, worse, lower=lower).verdict(0.05) == "undecided at this scale"
    assert Order("x", HIGH, LOW).found() == (
        "x +2.1000, 95 % interval +1.8733 to +2.3267 (Welch), p 1.4e-05; values do not overlap"
    )
    assert "overlap" not in Order("x", HIGH, NEAR).found()


def test_distances_are_compared_as_ratios() -> None:
    """Three seeds that spread by a factor of two, as distances do: three times the others, whatever the unit."""
    far, near = [1.2, 1.5, 2.6], [0.31, 0.30, 0.33]
    ratio, low, high = Order("x", far, near, lower=True).difference()
    assert ratio == pytest.approx((1.2 * 1.5 * 2.6 / (0.31 * 0.30 * 0.33)) ** (1 / 3))
    assert 1 < low < ratio < high
    assert low * high == pytest.approx(ratio**2), "the interval is even on logarithms"
    assert Order("x", far, near).difference()[1] < 0, "by differences the widest seed hides the order"
    scaled = Order("x", [10 * value for value in far], [10 * value for value in near], lower=True)
    assert scaled.difference() == pytest.approx((ratio, low, high))
    with pytest.raises(ValueError, match="on logarithms and must be positive, got -0"):
        Order("x", far, [0.3, -0.1, 0.3], lower=True)


def test_holm_on_a_page_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def row(order: Order | None, verdict: str = "") -> Claim:
    return Claim("where", "says", "", "", "", "", "", verdict, order=order)


def test_the_more_orders_on_a_page_the_more_each_must_show() -> None:
    once = Order("x", [3.0, 3.2, 3.1], [2.5, 2.8, 2.6])
    assert 0.01 < once.test().pvalue < 0.025
    alone = decided([row(once), row(None, "counted")])
    assert [claim.verdict for claim in alone] == ["reproduced at this scale", "counted"]
    others = [row(Order("x", NEAR, HIGH)) for _ in range(5)]
    (among, *_) = decided([row(once), *others])
    assert among.verdict == "undecided at this scale"
    assert among.ours.endswith("among 6 orders (Holm)")
    (gated, *rest) = decided([row(once, "not stated"), *others])
    assert gated.verdict == "not stated", "and it is none of those that are asked"
    assert rest[0].ours.endswith("among 5 orders (Holm)")
    few = compared("where", "says", {"a": [], "b": []}, Order("x", HIGH, LOW[:2]))
    assert (few.verdict, few.ours, few.order) == (FEW_SEEDS, "", None)


def test_the_floor_of_the_digits_is_what_resampling_says_too() -> None:
    images = real_images(make_datamodule("digits"), "all")
    halves, thirds, quarters = read_results("data/digits_floor")
    assert floor(images, parts=4, splits=3)["fd_at"] == pytest.approx(quarters["fd_at"], rel=0.15)
    assert [line["fd_at"] for line in (thirds, quarters)] == pytest.approx([halves["fd_at"]] * 2, rel=0.05)
    random = torch.Generator().manual_seed(0)
    resampled = [
        ImagesInMemory("digits", images.tensor[torch.randint(1797, (1797,), generator=random)]) for _ in range(12)
    ]
    distances = [
        evaluate(one, other, Instruments(extractor=Pixels(images.shape), metrics=["fd"]))["fd"]
        for one, other in zip(resampled[::2], resampled[1::2], strict=True)
    ]
    assert sum(distances) / len(distances) == pytest.approx(halves["fd_at"], rel=0.2)


def test_only_results_of_the_unchanged_experiment_are_taken_in() -> None:
    config = plain(compose("train", ["experiment=poly_inr/digits"]))
    record = read_results("poly_inr/digits")[0]
    assert "labels" not in record["protocol"], "written before the protocol said so: balanced, as the experiment states"
    assert published(config, [record]) == [record]
    stated = {label: record | {"protocol": record["protocol"] | {"labels": label}} for label in ("data", "balanced")}
    assert published(config, list(stated.values())) == [stated["balanced"]]
    # Read by two processes, and written when those counted.
    config["datamodule"]["num_workers"] = 2
    earlier = record | {"settings_hash": earlier_settings_hash(config)}
    assert earlier["settings_hash"] != record["settings_hash"] == settings_hash(config)
    assert published(config, [earlier, record | {"settings_hash": "another"}]) == [earlier]
    # Another precision, and written when that did not count.
    config["trainer"]["precision"] = "bf16-mixed"
    assert published(config, [record, earlier]) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.parent.name + "/" + path.name)
def test_links_and_experiments_exist(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
    for name in re.findall(r"experiment=([\w/]+)", text):
        assert name in group_options("experiment"), f"{path.name} names the experiment {name}"


def test_every_method_has_a_card_an_experiment_and_a_test() -> None:
    folders = [path.parent for path in (ROOT / "lightning_modules").glob("*/module.py")]
    assert folders
    for folder in folders:
        assert (folder / "README.md").exists()
        assert (ROOT / "configs" / "method" / f"{folder.name}.yaml").exists()
        assert list((ROOT / "configs" / "experiment" / folder.name).glob("*.yaml"))
        assert list((ROOT / "tests" / "lightning_modules").glob(f"{folder.name}/test_*.py"))
        assert folder.name in (ROOT / "README.md").read_text()


def test_benchmarks_print_a_table_and_json(program) -> None:
    import json

    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    assert scripts
    for script in scripts:
        done = program(f"benchmarks/{script.name}", "--quick", timeout=300)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout.strip().splitlines()[-1])
        assert rows
        for name, row in rows.items():
            assert {"ratio", "floor_share"} <= row.keys()
            assert f"| {name} |" in done.stdout
