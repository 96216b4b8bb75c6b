"""Measure a generator or a set of images: one table on the screen, one JSON line in results.jsonl.

python evaluate.py checkpoint=<file>                       a trained model against its data
python evaluate.py checkpoint=<file> corruptions=all       a classifier of ImageNet on the 75 sets of ImageNet-C
python evaluate.py images=<folder, zip, array, data module> reference=<the same, or saved statistics>
python evaluate.py images=<...> save_statistics=<file>     keep the statistics of a set as a reference for later
python evaluate.py compare=[<results>,<results>]           side by side, if their protocols agree
torchrun --nproc_per_node=8 evaluate.py ... device=cuda    on any number of ranks (or srun)
"""

from __future__ import annotations

from launch.start import announce

if __name__ == "__main__":
    announce("evaluate.py")  # before the imports, which take seconds

import json
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from launch.allocator import keep_freed_memory
from launch.compose import check_overrides, plain
from launch.errors import one_line_errors


def evaluate(config: DictConfig) -> dict[str, Any]:
    """The result record; rank 0 prints and appends it as well."""
    from generative.ranks import rank_and_world_size, ranks_of_launcher
    from launch.checkpoint import check_device
    from launch.evaluate.evaluation import READ, check_used, evaluate_checkpoint, evaluate_images
    from launch.ranks import name_ranks_of_srun
    from launch.threads import use_threads

    settings = plain(config)
    chosen = [name for name in ("checkpoint", "images", "compare") if settings[name] is not None]
    if len(chosen) != 1:
        raise ValueError("give one of checkpoint=<file>, images=<...> reference=<...> and compare=[<file>,<file>]")
    if chosen == ["compare"]:
        check_used(settings, READ["compare"], "a comparison")
        return compare(settings["compare"])
    started = time.perf_counter()
    check_device(settings["device"])
    use_threads(settings["num_threads"])
    name_ranks_of_srun()
    with ranks_of_launcher(settings["device"]) as device:
        settings["device"] = device
        record, draw = (evaluate_checkpoint if chosen == ["checkpoint"] else evaluate_images)(settings)
        record["seconds"] = round(time.perf_counter() - started, 2)
        is_first = rank_and_world_size()[0] == 0
        folder = result_folder(settings)
        if is_first:
            publish(record, settings, folder)
        if draw is not None:  # every rank takes part, after the numbers are safe
            picture = draw()
            if is_first:
                picture.save(folder / "nearest.png")
                print(f"samples above their nearest real images: {folder / 'nearest.png'}", file=sys.stderr)
    return record


def result_folder(settings: dict[str, Any]) -> Path:
    """The run's folder for a checkpoint inside one, else the current folder."""
    run = Path(settings["checkpoint"] or ".").absolute().parent.parent
    return run if settings["checkpoint"] is not None and (run / "config.yaml").exists() else Path()


def publish(record: dict[str, Any], settings: dict[str, Any], folder: Path) -> None:
    """The table on the screen, the line in results.jsonl and, last, the line on the screen."""
    from records.results import markdown_table
    from records.run_files import append_line

    if record.get("note"):
        print(f"note: {record['note']}", file=sys.stderr)
    if record["metrics"]:
        append_line(Path(settings["output"] or folder / "results.jsonl"), record)
        rows = [("metric", "value"), ("---", "---")]
        print(markdown_table(rows + [(name, f"{value:.6g}") for name, value in record["metrics"].items()]))
    print(json.dumps(record))


def compare(paths: list[str]) -> dict[str, Any]:
    """A table of several results of one protocol, the first file's metrics first."""
    from launch.evaluate.evaluation import compare_results

    records = compare_results(paths)
    names = list(dict.fromkeys(name for record in records for name in record["metrics"]))
    print("| metric | " + " | ".join(paths) + " |\n|" + "---|" * (len(paths) + 1))
    for name in names:
        cells = [f"{record['metrics'][name]:.6g}" if name in record["metrics"] else "-" for record in records]
        print(f"| {name} | " + " | ".join(cells) + " |")
    return {"compared": paths, "results": records}


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def run_from_command_line(config: DictConfig) -> None:
    with one_line_errors():
        evaluate(config)


def main() -> None:
    announce("evaluate.py")  # also where an installed command imports this file
    keep_freed_memory()
    with one_line_errors():
        check_overrides("evaluate", sys.argv[1:])
        run_from_command_line()


if __name__ == "__main__":
    main()
