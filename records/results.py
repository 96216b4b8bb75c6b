"""results.jsonl: one line a published measurement, with everything it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from metrics.evaluation import Work, evaluate, negative_distance_note, small_sample_note
from metrics.features import Extractor
from metrics.image_sets import ImageSet
from metrics.judge import Judge
from metrics.protocols import make_protocol, name_all
from metrics.quality import Settings
from metrics.statistics import Summary
from records.environment import environment

TEST_STAGE = "test stage of train.py"
EVALUATION = "evaluate.py"


# Of a data module: where its files lie, how they come there and who reads them is no part of what they are.
PLACES = ("data_dir", "imagenet_dir", "download", "num_workers")
FILES = ("train", "test")  # of `arrays`: whether they are given matters, as a set without `test` holds a part out
# What a setting that may be left out is without it.
LEFT_OUT = {"flip": False, "crop_padding": 0, "accumulate": 1, "clip_norm": 0}
PRECISION = "32-true"  # by default


def settings_hash(config: dict[str, Any]) -> str:
    """Of what a trained model depends on beside its seed: two results of one hash may be averaged over seeds.

    The method, the data, the budget and the precision. Not what changes a number by rounding at most: devices and their
    kind, ranks, threads, loading processes; nor callbacks and loggers, which only watch. ``accumulate`` counts: batch
    normalisation sees each part by itself.
    """
    data = {key: value for key, value in config["datamodule"].items() if key not in PLACES}
    parts = {
        "method": config["method"],
        "datamodule": {key: value is not None if key in FILES else value for key, value in data.items()},
    }
    relevant: dict[str, Any] = {
        part: {key: value for key, value in values.items() if key not in LEFT_OUT or value != LEFT_OUT[key]}
        for part, values in parts.items()
    }
    relevant["max_kimg"] = config["max_kimg"]
    # The ordinary precision is left out, so that results from before it counted keep their hash.
    if (precision := config.get("trainer", {}).get("precision", PRECISION)) != PRECISION:
        relevant["precision"] = precision
    return short_hash(relevant)


def earlier_settings_hash(config: dict[str, Any]) -> str:
    """What results of the same run carry that were written before precision counted and loading processes did not."""
    data = {key: value for key, value in config["datamodule"].items() if key not in ("data_dir", "download")}
    return short_hash({"method": config["method"], "datamodule": data, "max_kimg": config["max_kimg"]})


def short_hash(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def measured_result(
    fake: ImageSet,
    real: ImageSet | Summary | None,
    *,
    extractor: Extractor,
    metrics: Sequence[str],
    settings: Settings,
    judge: Judge | None,
    test: ImageSet | None,
    work: Work,
    samples: str,
    labels: str = "none",
    trained_against_judge: bool = False,
    **facts: Any,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Evaluate, and make the record of it: protocol, counts, values, ``facts``, environment. Also the values by whole name.

    ``samples`` says how the generated images were drawn, ``labels`` how the classes asked for were shared out; ``facts``
    what was measured: experiment, checkpoint or folder, images seen, seeds, stage.
    """
    values = evaluate(
        fake, real, extractor=extractor, metrics=metrics, settings=settings, judge=judge, test=test, work=work
    )
    names = name_all(
        values,
        extractor=extractor,
        judge=judge,
        image_size=fake.shape[1],
        num_images=len(fake),
        trained_against_judge=trained_against_judge,
    )
    name, mark, count, reference_shape = "none", "", 0, fake.shape
    if isinstance(real, Summary):
        name, mark, count = real.facts.get("name", "statistics"), real.facts.get("images", ""), real.num_images
        reference_shape = real.facts.get("image_shape", fake.shape)
    elif real is not None:
        name, mark, count, reference_shape = real.name, real.fingerprint(), len(real), real.shape
    foreign = real.facts.get("note") if isinstance(real, Summary) else None
    notes = [
        foreign,
        small_sample_note(min(len(fake), count or len(fake)), extractor, metrics),
        negative_distance_note(values),
    ]
    protocol = make_protocol(
        extractor,
        image_shape=fake.shape,
        reference=name,
        reference_hash=mark,
        samples=samples,
        labels=labels,
        judge="none" if judge is None or test is None else f"{judge.name}, tested on {test.name}",
        settings=settings,
        trained_against_judge=trained_against_judge,
        several_sizes=0 in (*fake.shape, *reference_shape),
    )
    record = {
        "protocol": protocol.as_dict(),
        "num_images": len(fake),
        "num_reference": count,
        "metrics": values,
        "names": sorted(names),
        "note": "; ".join(note for note in notes if note) or None,
        **facts,
        "environment": environment(work.device.type),
    }
    return record, names


def markdown_table(rows: list[tuple[str, str]]) -> str:
    """Two columns, aligned for the screen as well."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"| {name:<{width}} | {value} |" for name, value in rows)
