"""Which results of a run are published, and where they are put."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from docs.ledger.collect import GenerationTest, collect, data_name, of_all_capabilities, published
from docs.ledger.results import DOCS, read_results
from launch.build import build
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


def test_a_generator_is_published_by_what_its_own_test_stage_asks_for() -> None:
    """DCGAN on the digits has no classes, so nobody judges them; its batch norm has two ways to draw."""
    config = plain(compose("train", ["experiment=dcgan/digits"]))
    protocol = read_results("poly_inr/digits")[0]["protocol"] | {
        "samples": "averaged weights, running statistics",
        "sampling": "running_statistics",
        "labels": "none",
        "judge": "none",
    }
    record = {
        "protocol": protocol,
        "metrics": {"fd": 1.0, "precision": 0.5, "recall": 0.5},
        "num_images": 1797,
        "num_reference": 1797,
        "sample_seed": 1,
        "kimg": 160.0,
        "budget_kimg": 160,
        "checkpoint": "last.ckpt",
        "settings_hash": settings_hash(config),
    }
    others = [
        record | {"metrics": {"fd": 1.0, "precision": 0.5}},
        record | {"checkpoint": "25kimg.ckpt"},
        record | {"kimg": 100.0},
        record | {"num_images": 1000},
        record | {"sample_seed": 2},
    ]
    for name, value in (
        ("sampling", "batch_statistics"),
        ("judge", "support vector machine, tested on digits:test"),
        ("extractor", "efficientnet_lite0"),
        ("num_neighbours", 5),
        ("subset_size", 100),
        ("reference", "digits:train"),
        ("reference", "digits:all (1700 of 1797)"),
        ("trained_against_judge", True),
    ):
        others.append(record | {"protocol": protocol | {name: value}})
    assert published(config, [record, *others]) == [record]


def test_counts_and_extractor_are_those_of_the_experiment() -> None:
    """5,000 samples against 5,000 of its images, as the experiment states."""
    config = plain(compose("train", ["experiment=dcgan/fashion_mnist"]))
    asked = config["callbacks"]["metrics"]
    test = GenerationTest.of(config)
    assert (test.data, test.extractor, test.sampling) == ("fashionmnist", "pixels", "running_statistics")
    assert (asked["test_num_images"], asked["test_num_reference"]) == (5000, 5000)
    assert test.is_reference("fashionmnist:all (5000 of 70000)", 5000)
    for name, count in (
        ("fashionmnist:all", 70000),
        ("fashionmnist:all (4000 of 70000)", 4000),
        ("fashionmnist:train (5000 of 60000)", 5000),
    ):
        assert not test.is_reference(name, count)


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


def test_some_classes_of_a_set_are_called_as_their_data_module_calls_itself() -> None:
    config = plain(compose("train", ["experiment=pggan/cifar10_automobile", "run_dir=run"]))
    assert data_name(config) == build(config)[0].name == "cifar10_1"
    for words in (["experiment=detector/deeppcb"], ["experiment=classifier/inspection_patches"]):
        config = plain(compose("train", words))
        assert data_name(config) == build(config)[0].name


def test_a_method_that_draws_and_classifies_is_published_by_its_samples_with_its_other_measures() -> None:
    drawn = {"protocol": {"data": "digits:all"}, "metrics": {"fd": 0.6, "accuracy": 1.0}, "num_images": 1797}
    remade = {"protocol": {"task": "reconstruction"}, "metrics": {"mae": 0.05}, "num_images": 359}
    named = {
        "protocol": {"task": "classification"},
        "metrics": {"accuracy": 0.98, "top5_accuracy": 1.0},
        "num_images": 359,
    }
    found = of_all_capabilities([drawn, remade, named])
    assert found["num_images"] == 1797
    assert found["metrics"] == {"fd": 0.6, "accuracy": 1.0, "mae": 0.05, "top5_accuracy": 1.0}
    assert of_all_capabilities([remade, named])["metrics"]["accuracy"] == 0.98
