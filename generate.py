"""Show what a trained model can do: a task of its method, by name.

python generate.py checkpoint=<file> task=<name> output=<folder> seed=<number> [the task's own settings]
"""

from __future__ import annotations

from launch.start import announce

if __name__ == "__main__":
    announce("generate.py")  # before the imports, which take seconds

import sys
import time

import hydra
from omegaconf import DictConfig

from launch.compose import check_overrides, gather_options, plain
from launch.errors import one_line_errors


def generate(config: DictConfig) -> list[str]:
    """Run the task; returns, and prints, the files it wrote."""
    from pathlib import Path

    from launch.checkpoint import load_method
    from launch.generate.tasks import check_options, find_task, load_named, run_task, write_record
    from launch.threads import use_threads

    settings = plain(config)
    if settings["checkpoint"] is None:
        raise ValueError("say which model: checkpoint=<file>")
    if not isinstance(settings["seed"], int) or settings["seed"] < 0:
        raise ValueError(f"seed must be an integer of at least 0, got {settings['seed']!r}")
    use_threads(settings["num_threads"])
    method, datamodule = load_method(Path(settings["checkpoint"]), device=settings["device"])
    task = find_task(method, settings["task"])
    check_options(task, settings["options"])
    options = load_named(task, settings["options"], device=settings["device"])
    if settings["compile"]:
        print(f"compiled in {method.compile_drawing():.1f} s", file=sys.stderr)
    started, output = time.perf_counter(), Path(settings["output"])
    files, partly = run_task(task, method, datamodule, output, seed=settings["seed"], options=options)
    write_record(output, method, settings, seconds=time.perf_counter() - started, files=files)
    written = [str(path) for path in files]
    print("\n".join(written))
    if partly is not None:  # what is written has its record, and the command fails at its end
        raise partly
    return written


@hydra.main(version_base="1.3", config_path="configs", config_name="generate")
def run_from_command_line(config: DictConfig) -> None:
    with one_line_errors():
        generate(config)


def main() -> None:
    announce("generate.py")  # also where an installed command imports this file
    with one_line_errors():
        sys.argv[1:] = gather_options("generate", sys.argv[1:])
        check_overrides("generate", sys.argv[1:])
        run_from_command_line()


if __name__ == "__main__":
    main()
