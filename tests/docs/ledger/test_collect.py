"""Which results of a run are published."""

from __future__ import annotations

from docs.ledger.collect import published
from docs.ledger.results import read_results
from launch.compose import compose, plain
from records.settings_hash import earlier_settings_hash, settings_hash


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
