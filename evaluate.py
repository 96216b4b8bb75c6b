"""Measure a generator or a set of images: one table on the screen, one JSON line in results.jsonl.

python evaluate.py checkpoint=<file>                                  a trained model against its data
python evaluate.py images=<folder or zip> reference=<folder, zip or data module>
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from launch.compose import check_overrides, plain
from launch.errors import one_line_errors


def evaluate(config: DictConfig) -> dict[str, Any]:
    """The result record; it is printed and appended as well."""
    from callbacks.results import append_result, markdown_table
    from launch.evaluation import evaluate_checkpoint, evaluate_images

    started = time.perf_counter()
    settings = plain(config)
    if (settings["checkpoint"] is None) == (settings["images"] is None):
        raise ValueError("give either checkpoint=<file> or images=<folder or zip> reference=<...>")
    if settings["checkpoint"] is not None:
        record = evaluate_checkpoint(settings)
        run = Path(settings["checkpoint"]).absolute().parent.parent
        default_output = (run if (run / "config.yaml").exists() else Path()) / "results.jsonl"
    else:
        record = evaluate_images(settings)
        default_output = Path("results.jsonl")
    record["seconds"] = round(time.perf_counter() - started, 2)
    append_result(Path(settings["output"]) if settings["output"] else default_output, record)
    rows = [("metric", "value"), ("---", "---")]
    print(markdown_table(rows + [(name, f"{value:.6g}") for name, value in record["metrics"].items()]))
    print(json.dumps(record))
    return record


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def run_from_command_line(config: DictConfig) -> None:
    with one_line_errors():
        evaluate(config)


def main() -> None:
    with one_line_errors():
        check_overrides("evaluate", sys.argv[1:])
        run_from_command_line()


if __name__ == "__main__":
    main()
