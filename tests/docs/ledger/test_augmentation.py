"""The page on what made images teach: its arms, its mixes, its students and its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score

from docs.ledger import augmentation_arms, augmentation_mixes
from docs.ledger.augmentation import collect
from docs.ledger.augmentation_arms import ALL_REAL, ARMS, AS_IT_IS, DECODED, MAKERS, RareClass, rare_lines, taught_of
from docs.ledger.augmentation_mixes import ADDED, COPIES, ORIGINALS, REPLACED, Labelled, asked_mixes, mixed, share_lines
from docs.ledger.augmentation_page import FILE, PAIRS, page
from docs.ledger.results import read_results
from docs.ledger.students import Lesson, macro_f1, named, rows_of_step, taught
from generative.rendering.images import to_uint8
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.regene.module import ReGene

EIGHT, KEPT = 8, 10
QUICK = Lesson(steps=1, batch_size=8, width=2)
Write = Callable[[str, list[dict[str, Any]]], Path]


@pytest.fixture(scope="module")
def rare() -> RareClass:
    """Of a ReGene that nobody trained, which names no image as it should: its filtered arms give up."""
    data = ["datamodule=digits", "+datamodule.train_part=[0,0.9]", f"+datamodule.rare={{{EIGHT}: {KEPT}}}"]
    config = plain(compose("train", ["experiment=none", "run_dir=run", "method=regene", "method.max_tries=1", *data]))
    torch.manual_seed(0)
    datamodule, method = build(config)
    assert isinstance(method, ReGene)
    method._trainer = SimpleNamespace(datamodule=datamodule)  # type: ignore[assignment]
    return RareClass(method.eval(), datamodule, EIGHT)


@pytest.fixture
def _loaded(rare: RareClass, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (augmentation_arms, augmentation_mixes):
        monkeypatch.setattr(module, "load_method", lambda path, device: (rare.method, rare.datamodule))


def test_arms_add_images_of_the_few_up_to_the_mean_of_the_others(rare: RareClass) -> None:
    images, labels = rare.known
    held_out = int((labels == EIGHT).sum()) - KEPT
    assert held_out == 1
    others = (len(labels) - KEPT - held_out) / 9
    assert rare.num_missing == round(others) - KEPT - held_out
    for arm in [arm for arm in MAKERS if not arm.endswith("filtered")]:
        made, made_labels = taught_of(rare, arm)
        assert torch.equal(made[: len(images)], images), "the known ones stay"
        assert made_labels.bincount()[EIGHT] == round(others)
        assert (made_labels[len(images) :] == EIGHT).all()
        again, _ = taught_of(rare, arm)
        assert torch.equal(made, again), arm
    assert torch.equal(taught_of(rare, AS_IT_IS)[0], images)
    whole, whole_labels = taught_of(rare, ALL_REAL)
    assert len(whole) == len(rare.datamodule.whole_split("train")[1]) > len(images)
    assert whole_labels.bincount()[EIGHT] > 100


def test_controls_are_made_of_the_few_alone(rare: RareClass) -> None:
    few = rare.few.flatten(1).float()
    assert len(few) == KEPT
    made = {arm: MAKERS[arm](rare, 20, 0).flatten(1).float() for arm in MAKERS if not arm.endswith("filtered")}
    assert torch.equal(made["copies"], few.repeat(2, 1))
    means = (0.5 * (few[:, None] + few[None])).flatten(0, 1)
    assert torch.cdist(made["means of pixels"], means).min(dim=1).values.max() <= 1.01 * few.shape[1] ** 0.5
    turned = torch.cdist(made["turned and shifted copies"], few)
    own = turned[torch.arange(20), torch.arange(20) % KEPT]
    assert own.min() > 0
    assert own.mean() < 0.9 * turned.mean(), "like the one that it is a copy of"
    assert not torch.equal(own[:KEPT], own[KEPT:]), "each by a turn of its own"
    between = torch.cdist(made["SMOTE of pixels"], few).topk(2, dim=1, largest=False).values
    gaps = torch.cdist(few, few)
    assert (between.sum(dim=1) <= gaps.max() + 10).all(), "on a line between two of them"


@pytest.mark.usefixtures("_loaded")
def test_a_run_has_a_line_for_each_arm(rare: RareClass, write_results: Write) -> None:
    collect(rare_lines(Path("run"), lesson=QUICK), total=len(ARMS), what="run")
    lines = read_results(FILE)
    assert {line["arm"] for line in lines} == set(ARMS)
    labels = rare.datamodule.split("test")[1]
    for line in lines:
        assert (line["kept"], line["held_out"], line["label"], line["train_seed"]) == (KEPT, 1, EIGHT, rare.method.seed)
        if line["arm"].endswith("filtered"):
            assert line["failed"].startswith("class 8: 1 tries of an image were not enough")
            continue
        assert len(line["right"]) == len(labels)
        assert line["recall"] == [line["right"][k] for k in range(len(labels)) if labels[k] == EIGHT]
        assert line["added"] == (rare.num_missing if line["arm"] in MAKERS else 0)
    text = page()
    assert f"## A rare class: class 8 of `{lines[0]['experiment']}`" in text
    assert "* means of latents, filtered: class 8: 1 tries of an image were not enough" in text
    assert "| as it is | 1 | 0 |" in text
    assert "(one seed)" in text
    collect(lines[:1], total=1, what="again")
    assert len(read_results(FILE)) == len(ARMS), "in place of the earlier line"


@pytest.mark.usefixtures("_loaded")
def test_runs_that_have_no_rare_class_are_refused(rare: RareClass, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rare.datamodule, "asked_rare", {})
    with pytest.raises(ValueError, match="run was trained with 0 rare classes: train it with one"):
        next(rare_lines(Path("run"), lesson=QUICK))


def labelled(values: list[int]) -> Labelled:
    return Labelled(torch.tensor(values), torch.tensor(values) % 2)


def test_mixes_have_the_share_that_is_asked_for() -> None:
    originals, made = labelled([0, 1, 2, 3]), labelled([10, 11, 12, 13])
    assert mixed(originals, made, how=REPLACED, share=0.25).images.tolist() == [0, 1, 2, 10]
    assert mixed(originals, made, how=REPLACED, share=1.0).images.tolist() == [10, 11, 12, 13]
    assert mixed(originals, made, how=ADDED, share=0.5).images.tolist() == [0, 1, 2, 3, 10, 11]
    assert mixed(originals, None, how=REPLACED, share=0.75).images.tolist() == [0, 0, 0, 0]
    copied = mixed(originals, None, how=ADDED, share=1.0)
    assert copied.images.tolist() == [0, 1, 2, 3] * 2
    assert torch.equal(copied.labels, copied.images % 2)
    with pytest.raises(ValueError, match="copies need originals: a share of copies alone is below 1"):
        mixed(originals, None, how=REPLACED, share=1.0)
    assert (REPLACED, 1.0) not in asked_mixes(COPIES)
    assert (REPLACED, 1.0) in asked_mixes("means of pixels")


@pytest.mark.usefixtures("_loaded")
def test_shares_of_made_images_have_lines_and_tables(write_results: Write) -> None:
    lines = list(share_lines(Path("run"), lesson=QUICK, sources=["means of pixels", COPIES]))
    assert lines[0]["arm"] == ORIGINALS
    size = lines[0]["originals"]
    assert all(
        line["images"] == (size if line["how"] == REPLACED else size + round(line["share"] * size)) for line in lines
    )
    five = [line | {"train_seed": seed, "accuracy": 0.5 + 0.01 * seed} for line in lines for seed in range(5)]
    for line in five:
        line["accuracy"] += 0.1 * (line["arm"] == "means of pixels") + 0.001 * (line["train_seed"] % 2) * line["share"]
    collect(five, total=len(five), what="runs")
    text = page()
    assert "**Made images beside all originals**" in text
    assert "| 1 | - | - | 0.620 ± 0.020 | - |" in text, "no copies alone, and no line of what was not measured"
    assert "* means of pixels against copies, as many as there are originals and beside them: accuracy +0.1000" in text


def result(arm: str, seed: int, recall: list[int], *, kept: int = KEPT) -> dict[str, Any]:
    facts = {"question": "rare class", "experiment": "regene/digits", "train_seed": seed, "kimg": 345.0, "kept": kept}
    facts |= {
        "held_out": 1,
        "label": EIGHT,
        "steps": 600,
        "batch_size": 64,
        "environment": {"processor": "a processor"},
    }
    facts |= {"arm": arm, "images": 1500, "added": 100, "macro_f1": sum(recall) / 20}
    return facts | {"recall": recall, "right": [*recall, *[1] * 10]}


def test_differences_are_paired_and_open_below_five_seeds(write_results: Write) -> None:
    def lines(seeds: int) -> list[dict[str, Any]]:
        better = [result("variance kept", seed, [1] * 19 + [seed % 2]) for seed in range(seeds)]
        return [*better, *(result("copies", seed, [0] * 15 + [1] * 4 + [seed % 2]) for seed in range(seeds))]

    write_results(FILE, lines(5))
    row = next(row for row in page().splitlines() if row.startswith(f"| {KEPT} | variance kept | copies |"))
    cells = row.strip("| ").split(" | ")
    assert cells[3].startswith("+0.750 (")
    assert cells[4].startswith("+0.500 (")
    assert cells[5] == "+0.750 ± 0.000"
    assert cells[7] == "better"
    assert "**k = 10**" in page()
    write_results(FILE, lines(4))
    assert any(row.endswith("| - | open |") for row in page().splitlines())


def test_every_arm_that_is_compared_is_measured() -> None:
    assert {arm for pair in PAIRS for arm in pair} <= set(ARMS)
    assert len(set(PAIRS)) == len(PAIRS)


def test_students_learn_and_are_the_same_again(rare: RareClass) -> None:
    """Bright and dark images, told apart after some steps; the same bits by the same seed."""
    labels = torch.arange(64) % 2
    images = to_uint8(
        (2.0 * labels - 1.0)[:, None, None, None] * torch.rand(64, 1, 8, 8, generator=torch.manual_seed(0))
    )
    lesson = Lesson(steps=10, batch_size=16, width=2, rate=1e-2)
    students = [taught(images, labels, 2, seed=seed, lesson=lesson) for seed in (0, 0, 1)]
    assert torch.equal(named(students[0], images), labels)
    weights = [student.classifier.weight for student in students]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_an_epoch_of_a_student_shows_each_image_once() -> None:
    shown = torch.cat([rows_of_step(step, batch_size=4, size=10, seed=0) for step in range(5)])
    assert sorted(shown[:10].tolist()) == sorted(shown[10:].tolist()) == list(range(10))
    assert shown[:10].tolist() != shown[10:].tolist()


def test_macro_f1_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    found, labels = (torch.randint(4, (50,), generator=generator) for _ in range(2))
    expected = f1_score(labels, found, average="macro")
    assert macro_f1(found, labels, 4) == pytest.approx(expected, abs=1e-12)


def test_every_decoded_arm_is_a_sampler(rare: RareClass) -> None:
    assert set(DECODED.values()) <= set(rare.method.samplings)
