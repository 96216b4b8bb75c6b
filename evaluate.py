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
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from launch.allocator import keep_freed_memory
from launch.compose import check_overrides, plain
from launch.errors import one_line_errors

if TYPE_CHECKING:  # they take seconds to import
    from launch.evaluate.instruments import PictureMaker
    from launch.evaluate.requests import MeasuringRequest


def evaluate(config: DictConfig) -> dict[str, Any]:
    """The result record, the first of several; rank 0 prints and appends each."""
    from generative.ranks import rank_and_world_size, ranks_of_launcher
    from launch.checkpoint import check_device
    from launch.evaluate.comparison import compare_results
    from launch.evaluate.requests import ComparisonRequest, request_of
    from launch.ranks import name_ranks_of_srun
    from launch.threads import use_threads

    request = request_of(plain(config))
    if isinstance(request, ComparisonRequest):
        return compare_results(request)
    started = time.perf_counter()
    check_device(request.device)
    use_threads(request.num_threads)
    name_ranks_of_srun()
    with ranks_of_launcher(request.device) as device:
        records, draw = measure(request.on(device))
        is_first = rank_and_world_size()[0] == 0
        folder = result_folder(request)
        for record in records:
            record["seconds"] = round(time.perf_counter() - started, 2)
            if is_first:
                publish(record, Path(request.output or folder / "results.jsonl"))
        if draw is not None:  # every rank takes part, after the numbers are safe
            picture = draw()
            if is_first:
                picture.save(folder / "nearest.png")
                print(f"samples above their nearest real images: {folder / 'nearest.png'}", file=sys.stderr)
    return records[0]


def measure(request: MeasuringRequest) -> tuple[list[dict[str, Any]], PictureMaker | None]:
    """The records of what is asked for, and the picture that ``show_nearest`` adds to them."""
    from launch.evaluate.capabilities import measure_checkpoint
    from launch.evaluate.corruptions import measure_corruptions
    from launch.evaluate.images import measure_images
    from launch.evaluate.requests import CheckpointRequest, CorruptionsRequest, ImagesRequest, StatisticsRequest
    from launch.evaluate.statistics import measure_statistics

    match request:
        case CheckpointRequest():
            return measure_checkpoint(request)
        case CorruptionsRequest():
            return [measure_corruptions(request)], None
        case ImagesRequest():
            return measure_images(request)
        case StatisticsRequest():
            return [measure_statistics(request)], None
    raise AssertionError(request)


def result_folder(request: MeasuringRequest) -> Path:
    """The run's folder for a checkpoint inside one, else the current folder."""
    from launch.evaluate.requests import CheckpointRequest, CorruptionsRequest

    if not isinstance(request, CheckpointRequest | CorruptionsRequest):
        return Path()
    run = Path(request.checkpoint).absolute().parent.parent
    return run if (run / "config.yaml").exists() else Path()


def publish(record: dict[str, Any], results: Path) -> None:
    """The table on the screen, the line in ``results`` and, last, the line on the screen."""
    from records.results import markdown_table
    from records.run_files import append_line

    if record.get("note"):
        print(f"note: {record['note']}", file=sys.stderr)
    if record["metrics"]:
        append_line(results, record)
        rows = [("metric", "value"), ("---", "---")]
        print(markdown_table(rows + [(name, f"{value:.6g}") for name, value in record["metrics"].items()]))
    print(json.dumps(record))


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
