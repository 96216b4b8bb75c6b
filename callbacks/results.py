"""results.jsonl: one line a published measurement, with everything it depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from callbacks.environment import environment
from generative.metrics.evaluation import Protocol


def result_record(
    protocol: Protocol, metrics: dict[str, float], *, num_images: int, num_reference: int, **facts: Any
) -> dict[str, Any]:
    """``facts`` say what was measured: experiment, checkpoint or folder, images seen, seeds, seconds."""
    return {
        "protocol": protocol.as_dict(),
        "num_images": num_images,
        "num_reference": num_reference,
        "metrics": metrics,
        **facts,
        "environment": environment(),
    }


def append_result(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def markdown_table(rows: list[tuple[str, str]]) -> str:
    """Two columns, aligned for the screen as well."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"| {name:<{width}} | {value} |" for name, value in rows)
