"""What a trained model depends on beside its seed, as one short hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

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
    data = without_places(config["datamodule"])
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


def without_places(settings: dict[str, Any]) -> dict[str, Any]:
    """The ``settings`` of a data module but for the places on this machine, those of sets within it as well."""
    return {
        key: without_places(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key not in PLACES
    }


def earlier_settings_hash(config: dict[str, Any]) -> str:
    """What results of the same run carry that were written before precision counted and loading processes did not."""
    data = {key: value for key, value in config["datamodule"].items() if key not in ("data_dir", "download")}
    return short_hash({"method": config["method"], "datamodule": data, "max_kimg": config["max_kimg"]})


def short_hash(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
