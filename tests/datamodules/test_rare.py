"""A class of which few training images are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from datamodules.digits import DigitMasks, Digits
from datamodules.images import OwnImages
from datamodules.splits import lies_in_part
from generative.plain_data import check_plain
from launch.build import build
from launch.compose import compose, plain
from metrics.splits import real_images
from tests.datamodules.test_stored_images import write_prepared

EIGHTS = 8


def digits(
    count: int | None = None, *, part: list[float] | None = None, seed: int = 0, rare_seed: int = 0, label: int = EIGHTS
) -> Digits:
    rare = None if count is None else {str(label): count}
    return Digits(batch_size=8, seed=seed, train_part=part, rare=rare, rare_seed=rare_seed)


def eights(datamodule: Digits, split: str = "train") -> set[int]:
    """The places of the images of the rare class."""
    _, labels = datamodule.split(split)
    return set(datamodule.places(split)[labels == EIGHTS].tolist())


def test_a_rare_class_has_so_many_images_and_the_others_have_all_of_theirs() -> None:
    whole, some = digits(), digits(30)
    images, labels = whole.split("train")
    known, known_labels = some.split("train")
    assert known_labels.bincount()[EIGHTS] == 30
    others = [label for label in range(10) if label != EIGHTS]
    assert torch.equal(known_labels.bincount()[others], labels.bincount()[others])
    places = some.places("train")
    assert torch.equal(known, images[places])
    assert torch.equal(known_labels, labels[places])
    assert (places.diff() > 0).all(), "in their old order"
    assert torch.equal(some.rows("train")["label"], known_labels), "batches are of these"
    for split in ("test", "all"):
        assert torch.equal(some.split(split)[0], whole.split(split)[0])
    assert torch.equal(some.whole_split("train")[0], images)


def test_fewer_are_among_more_whatever_the_seed_of_the_run() -> None:
    ten, thirty, hundred = (eights(digits(count, seed=count)) for count in (10, 30, 100))
    assert ten < thirty < hundred
    assert eights(digits(30, rare_seed=1)) != thirty
    part = lies_in_part(len(digits().split("train")[0]), (0.0, 0.9))
    kept = {place for place in thirty if part[place]}
    assert kept == eights(digits(len(kept), part=[0.0, 0.9])), "in one order, whatever the part"
    in_part = [eights(digits(count, part=[0.0, 0.9])) for count in (10, 30, 100)]
    assert in_part[0] < in_part[1] < in_part[2]


def test_a_part_has_so_many_and_the_rest_its_share() -> None:
    part = [0.0, 0.9]
    inside = lies_in_part(len(digits().split("train")[0]), (0.0, 0.9))
    plenty = [len(eights(digits(part=part), split)) for split in ("train", "rest")]
    for count in (10, 30, 100):
        some = digits(count, part=part)
        assert len(eights(some)) == count
        assert len(eights(some, "rest")) == max(1, round(count * plenty[1] / plenty[0]))
        assert inside[some.places("train")].all()
        assert not inside[some.places("rest")].any()
        assert not set(some.places("train").tolist()) & set(some.places("rest").tolist())
    assert len(eights(digits(2, part=part), "rest")) == 1, "of which a threshold is made"
    assert len(digits(30, part=part).split("rest")[0]) < len(digits(part=part).split("rest")[0])


def test_results_tell_what_was_trained_on_by_the_hash_of_the_images() -> None:
    """As of a part of a set: it is called the same, and what is tested on is the same."""
    whole, some = digits(), digits(30)
    assert some.name == whole.name
    assert real_images(some, "train").fingerprint() != real_images(whole, "train").fingerprint()
    assert real_images(some, "test").fingerprint() == real_images(whole, "test").fingerprint()


def test_it_is_set_on_the_command_line_and_stands_in_a_checkpoint() -> None:
    config = plain(compose("train", ["experiment=regene/digits", "run_dir=run", "+datamodule.rare={8: 30}"]))
    check_plain(config, "the configuration")
    assert config["datamodule"]["rare"] == {"8": 30}
    assert len(eights(build(config)[0])) == 30  # type: ignore[arg-type]


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"rare names class '10', and the set has classes 0 to 9: give \{<class>: <co"):
        digits(30, label=10).split("train")
    with pytest.raises(ValueError, match="leaves at least 1 image of a class, got 0 of class 8"):
        digits(0).split("train")
    with pytest.raises(
        ValueError, match="keeps 500 images of class 8, and 127 are trained on: keep fewer, or train on"
    ):
        digits(500).split("train")
    with pytest.raises(ValueError, match=r"rare=\{'8': 30\} cuts sets with classes of images alone: leave it out here"):
        DigitMasks(batch_size=8, seed=0, rare={"8": 30})
    with pytest.raises(ValueError, match="rare_seed must be at least 0, got -1"):
        digits(30, rare_seed=-1)
    with pytest.raises(ValueError, match="all training images of digits are trained on"):
        digits(30).split("rest")


def test_a_prepared_set_does_not_vouch_for_a_part_of_it(tmp_path: Path) -> None:
    write_prepared(tmp_path / "set", {"train": 60, "test": 20}, side=8, classes=["a", "b"])
    description = tmp_path / "set" / "prepared.json"
    facts = json.loads(description.read_text()) | {"fingerprints": {"8": {"train": "whole", "test": "tested on"}}}
    description.write_text(json.dumps(facts))
    given = {"data_dir": str(tmp_path / "set"), "resolution": 8, "batch_size": 2, "seed": 0, "num_classes": 2}
    assert OwnImages(**given).known_fingerprint("train") == "whole"  # type: ignore[arg-type]
    some = OwnImages(**given, rare={"1": 3})  # type: ignore[arg-type]
    assert (some.known_fingerprint("train"), some.known_fingerprint("test")) == (None, "tested on")
    assert some.split("train")[1].bincount().tolist() == [30, 3]
