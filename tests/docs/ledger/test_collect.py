"""Which results of a run are published, and where they are put."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from docs.ledger.collect import collect, published
from docs.ledger.results import DOCS, read_results
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


def test_the_result_of_a_run_takes_the_place_of_that_of_its_seed(tmp_path: Path, write_runs) -> None:
    published_lines = (DOCS / "results" / "poly_inr" / "digits.jsonl").read_text().splitlines()
    record = json.loads(published_lines[2])
    assert record["train_seed"] == 2
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump(plain(compose("train", ["experiment=poly_inr/digits", "seed=2"]))))
    (run / "results.jsonl").write_text(json.dumps(record) + "\n")
    (run / "metrics.csv").write_text("step,kimg,throughput/train_seconds\n1,80,61.26\n2,160,123.46\n")
    write_runs("poly_inr/digits", fd=[1.0, 2.0, 3.0, 4.0])
    assert collect(run) == tmp_path / "results" / "poly_inr" / "digits.jsonl"
    results = read_results("poly_inr/digits")
    assert [result["train_seed"] for result in results] == [0, 1, 2, 3]
    assert results[2] == record | {"train_seconds": 123.5}
    assert [result["metrics"]["fd"] for result in results if result["train_seed"] != 2] == [1.0, 2.0, 4.0]
    (run / "results.jsonl").write_text(json.dumps(record | {"kimg": 80.0}) + "\n")
    with pytest.raises(ValueError, match="has no result of the unchanged experiment poly_inr/digits"):
        collect(run)
