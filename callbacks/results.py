"""results.jsonl: one line a published measurement, with everything it depends on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from callbacks.environment import environment
from generative.metrics.protocols import Protocol

TEST_STAGE = "test stage of train.py"
EVALUATION = "evaluate.py"


def settings_hash(config: dict[str, Any]) -> str:
    """Of what a trained model depends on beside its seed: two results of one hash may be averaged over seeds."""
    relevant = {key: config[key] for key in ("method", "datamodule", "max_kimg")}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:12]


def result_record(
    protocol: Protocol,
    metrics: dict[str, float],
    *,
    num_images: int,
    num_reference: int,
    device: torch.device,
    **facts: Any,
) -> dict[str, Any]:
    """``facts`` say what was measured: experiment, checkpoint or folder, images seen, seeds, stage."""
    return {
        "protocol": protocol.as_dict(),
        "num_images": num_images,
        "num_reference": num_reference,
        "metrics": metrics,
        **facts,
        "environment": environment(device.type),
    }


def append_result(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def markdown_table(rows: list[tuple[str, str]]) -> str:
    """Two columns, aligned for the screen as well."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"| {name:<{width}} | {value} |" for name, value in rows)
