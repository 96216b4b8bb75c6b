"""What changes a number enters the hash of a result's settings, and what does not stays out of it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from launch.compose import compose, plain
from records.settings_hash import earlier_settings_hash, settings_hash
from tests.conftest import ROOT

Config = dict[str, Any]


@pytest.fixture(scope="module")
def ordinary() -> Config:
    return plain(compose("train", ["experiment=none", "datamodule=cifar10"]))


def changed(config: Config, changes: Config) -> Config:
    """``config`` with other values at dotted keys."""
    config = copy.deepcopy(config)
    for key, value in changes.items():
        *path, last = key.split(".")
        part = config
        for name in path:
            part = part[name]
        part[last] = value
    return config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.precision", "bf16-mixed"),
        ("trainer.precision", "64-true"),
        ("max_kimg", 21),
        ("datamodule.batch_size", 16),
        ("datamodule.resolution", 16),
        ("datamodule.flip", True),
        ("datamodule.crop_padding", 2),
        ("method.generator.width", 16),
        ("method.critic_optimizer.lr", 0.001),
        ("method.accumulate", 2),
        ("method.clip_norm", 1),
    ],
)
def test_what_changes_a_number_counts(key: str, value: Any, ordinary: Config) -> None:
    assert settings_hash(changed(ordinary, {key: value})) != settings_hash(ordinary)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 7),
        ("num_threads", 2),
        ("save_every_kimg", 1),
        ("run_dir", "elsewhere"),
        ("resume", "auto"),
        ("trainer.accelerator", "gpu"),
        ("trainer.devices", 4),
        ("trainer.precision", "32-true"),
        ("logger", {}),
        ("datamodule.data_dir", "elsewhere"),
        ("datamodule.download", True),
        ("datamodule.num_workers", 4),
        ("datamodule.flip", False),
        ("datamodule.crop_padding", 0),
        ("method.accumulate", 1),
        ("method.clip_norm", 0.0),
        ("callbacks.metrics.every_kimg", 1),
    ],
)
def test_what_changes_none_does_not_count(key: str, value: Any, ordinary: Config) -> None:
    assert settings_hash(changed(ordinary, {key: value})) == settings_hash(ordinary)


def test_where_files_lie_does_not_count_but_whether_there_are_any(ordinary: Config) -> None:
    here, there, held_out = (
        settings_hash(changed(ordinary, {"datamodule": {"train": train, "test": test}}))
        for train, test in (("a.npz", "b.npz"), ("c/a.npz", "c/b.npz"), ("a.npz", None))
    )
    assert here == there != held_out


def test_results_from_before_are_recognised(ordinary: Config) -> None:
    """From before the precision counted and loading processes did not: the same hash for all that is ordinary."""
    assert earlier_settings_hash(ordinary) == settings_hash(ordinary)
    loaded = changed(ordinary, {"datamodule.num_workers": 4})
    assert settings_hash(loaded) == settings_hash(ordinary) != earlier_settings_hash(loaded)


def test_published_results_are_of_the_experiments_as_they_are() -> None:
    known = set()
    for path in (ROOT / "docs" / "results").rglob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        known |= {(line["experiment"], line["settings_hash"]) for line in lines if "settings_hash" in line}
    assert len(known) >= 10
    hashes = {name: settings_hash(plain(compose("train", [f"experiment={name}"]))) for name, _ in known}
    assert known == set(hashes.items())


def test_the_places_of_sets_within_a_set_do_not_count() -> None:
    pair = plain(compose("train", ["experiment=regene/celeba_anime"]))
    moved = changed(pair, {"datamodule.sets.celeba.data_dir": "/elsewhere/celeba"})
    assert settings_hash(moved) == settings_hash(pair)
    smaller = changed(pair, {"datamodule.sets.celeba.resolution": 32})
    assert settings_hash(smaller) != settings_hash(pair)
