"""Takes the published result of a run into docs/results."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from docs.ledger.results import read_results, results_path
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.base import Draws
from metrics.features import default_extractor
from metrics.protocols import asked_labels
from metrics.quality import CLASS_METRICS, Settings
from records.run_files import read_lines, read_metrics
from records.settings_hash import earlier_settings_hash, settings_hash

PUBLISHED_SEED = 1  # of the samples: the test stage's, not the one that training was watched with


@dataclass(frozen=True, kw_only=True)
class GenerationTest:
    """What the test stage of an experiment measures of its generator: what a published result of it is.

    ``data``: name of its data set. ``asked``: its ``callbacks.metrics``. ``extractor`` and ``sampling`` as they come out.
    """

    data: str
    asked: dict[str, Any]
    extractor: str
    sampling: str | None

    @classmethod
    def of(cls, config: dict[str, Any]) -> GenerationTest:
        datamodule, method = build(config)
        asked = config["callbacks"]["metrics"]
        return cls(
            data=data_name(config),
            asked=asked,
            extractor=asked["extractor"] or default_extractor(datamodule.image_shape),
            sampling=method.sampling if isinstance(method, Draws) else None,
        )

    def made(self, record: dict[str, Any]) -> bool:
        """Whether a result is one of it, by whichever program. Other extractors, judges and conventions are other results."""
        protocol, asked = record["protocol"], self.asked
        judge = "support vector machine" if set(asked["test_metrics"]) & set(CLASS_METRICS) else "none"
        return (
            protocol["extractor"] == self.extractor
            and all(protocol[name] == value for name, value in asdict(Settings()).items())
            and protocol["judge"].startswith(judge)
            and not protocol["trained_against_judge"]
            and protocol.get("sampling") == self.sampling
            and asked_labels(protocol) in (asked["labels"], "none")
            and self.is_reference(protocol["reference"], record["num_reference"])
            and record["num_images"] == (asked["test_num_images"] or record["num_reference"])
            and record["sample_seed"] == asked.get("test_seed", PUBLISHED_SEED)
            and record["metrics"].keys() >= set(asked["test_metrics"])
        )

    def is_reference(self, name: str, count: int) -> bool:
        """Whether the real images ``name`` are all that there are, or as many of them as it asks for."""
        asked, whole = self.asked["test_num_reference"], f"{self.data}:all"
        return name == whole if asked is None else name.partition(" (")[0] == whole and count == asked


def is_final(record: dict[str, Any], hashes: Collection[str]) -> bool:
    """Whether a result is of the last checkpoint of a run with settings of one of ``hashes``, at its whole budget."""
    return (
        record.get("settings_hash") in hashes
        and record["checkpoint"] == "last.ckpt"
        and record["kimg"] >= record["budget_kimg"]
    )


def published(config: dict[str, Any], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those ``records`` of a run of ``config`` that are results of its unchanged experiment."""
    unchanged = plain(compose("train", [f"experiment={config['experiment_name']}"]))
    # By the run's own configuration: the hash in a result from before the precision counted does not tell.
    if settings_hash(config) != settings_hash(unchanged):
        return []
    hashes = (settings_hash(config), earlier_settings_hash(config))
    test = cache(lambda: GenerationTest.of(unchanged))  # builds the method, which not every result needs
    own = f"{data_name(unchanged)}:test"
    return [
        record
        for record in records
        if is_final(record, hashes)
        # With a task: measured by the method itself.
        and (record["protocol"]["data"] == own if "task" in record["protocol"] else test().made(record))
    ]


def data_name(config: dict[str, Any]) -> str:
    """What results of a run call its data set: of which it may have taken some ``classes`` alone, or patches or crops."""
    settings = config["datamodule"]
    name = str(settings["_target_"].rpartition(".")[2].lower())
    if "source" in settings:
        return f"{data_name({'datamodule': settings['source']})}_{name.removeprefix('defect')}"
    numbers = [one for one in settings.get("classes") or [] if isinstance(one, int)]  # names are all that boxes have
    return "_".join([name, *map(str, numbers)])


def of_all_capabilities(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The last result of a generator among ``records``, or the last; with the last measures of other tasks beside its own.

    A method that draws, reconstructs and classifies has a record of each. What two of them call alike is the generator's:
    the accuracy of ReGene's samples is that of the asked class.
    """
    drawn = [record for record in records if "task" not in record["protocol"]]
    main = (drawn or records)[-1]
    others: dict[str, float] = {}
    for record in records:
        if "task" in record["protocol"]:
            others |= record["metrics"]
    return main | {"metrics": others | main["metrics"]}


def collect(run: Path) -> Path:
    """The published result of a run into docs/results, in place of one of the same training seed."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    experiment = config["experiment_name"]
    records = published(config, read_lines(run / "results.jsonl"))
    if not records:
        raise ValueError(
            f"{run} has no result of the unchanged experiment {experiment}: its settings, budget or protocol differ"
        )
    record = of_all_capabilities(records)
    rows = read_metrics(run / "metrics.csv")
    seconds = [row["throughput/train_seconds"] for row in rows if "throughput/train_seconds" in row]
    record["train_seconds"] = round(seconds[-1], 1)
    path = results_path(experiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [result for result in read_results(experiment) if result["train_seed"] != record["train_seed"]]
    results = sorted([*kept, record], key=lambda result: result["train_seed"])
    path.write_text("".join(json.dumps(result) + "\n" for result in results))
    return path
