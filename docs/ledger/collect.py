"""Takes the published result of a run into docs/results."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from docs.ledger.results import read_results, results_path
from launch.compose import compose, plain
from metrics.protocols import asked_labels
from records.run_files import read_lines, read_metrics
from records.settings_hash import earlier_settings_hash, settings_hash

NUM_NEIGHBOURS = 3
PUBLISHED_SEED = 1  # of the samples: the test stage's, not the one that training was watched with
PUBLISHED_MEASURES = {"fd", "precision", "recall", "accuracy", "tstr_accuracy"}  # of generated images


def publishable(record: dict[str, Any], hashes: Collection[str], *, data: str, labels: str) -> bool:
    """Whether a result is that of the unchanged experiment: its last checkpoint, its whole budget, all real images.

    ``hashes`` of its settings, ``data`` the name of its data set, ``labels`` as it shares out the classes of samples.
    Other extractors, judges and conventions are other results.
    """
    unchanged = (
        record.get("settings_hash") in hashes
        and record["checkpoint"] == "last.ckpt"
        and record["kimg"] >= record["budget_kimg"]
    )
    protocol = record["protocol"]
    if "task" in protocol:  # measured by the method itself
        return unchanged and protocol["data"] == f"{data}:test"
    return (
        unchanged
        and protocol["extractor"] == "pixels"
        and protocol["num_neighbours"] == NUM_NEIGHBOURS
        and protocol["judge"].startswith("support vector machine")
        and not protocol["trained_against_judge"]
        and record["num_images"] == record["num_reference"]
        and protocol["reference"] == f"{data}:all"
        and record["sample_seed"] == PUBLISHED_SEED
        and asked_labels(protocol) in (labels, "none")
        and record["metrics"].keys() >= PUBLISHED_MEASURES
    )


def published(config: dict[str, Any], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those ``records`` of a run of ``config`` that are results of its unchanged experiment."""
    unchanged = plain(compose("train", [f"experiment={config['experiment_name']}"]))
    # By the run's own configuration: the hash in a result from before the precision counted does not tell.
    if settings_hash(config) != settings_hash(unchanged):
        return []
    hashes = (settings_hash(config), earlier_settings_hash(config))
    data = unchanged["datamodule"]["_target_"].rpartition(".")[2].lower()
    labels = unchanged["callbacks"]["metrics"]["labels"]
    return [record for record in records if publishable(record, hashes, data=data, labels=labels)]


def collect(run: Path) -> Path:
    """The published result of a run into docs/results, in place of one of the same training seed."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    experiment = config["experiment_name"]
    records = published(config, read_lines(run / "results.jsonl"))
    if not records:
        raise ValueError(
            f"{run} has no result of the unchanged experiment {experiment}: its settings, budget or protocol differ"
        )
    record = records[-1]
    rows = read_metrics(run / "metrics.csv")
    seconds = [row["throughput/train_seconds"] for row in rows if "throughput/train_seconds" in row]
    record["train_seconds"] = round(seconds[-1], 1)
    path = results_path(experiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [result for result in read_results(experiment) if result["train_seed"] != record["train_seed"]]
    results = sorted([*kept, record], key=lambda result: result["train_seed"])
    path.write_text("".join(json.dumps(result) + "\n" for result in results))
    return path
