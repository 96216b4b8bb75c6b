"""Run a W&B sweep file: its trials are runs of train.py, on this machine, with no server.

python sweep.py configs/sweeps/poly_inr/rates.yaml [--jobs 2] [--trials 20] [key=value for all trials ...]
"""

from __future__ import annotations

from launch.start import announce

if __name__ == "__main__":
    announce("sweep.py")  # before the imports, which take seconds

import argparse
import os
import sys
from pathlib import Path

from launch.errors import one_line_errors


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run a W&B sweep file without a server. The same command goes on with a sweep that was interrupted."
    )
    parser.add_argument("file", type=Path, help="a sweep file, such as configs/sweeps/poly_inr/rates.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="a setting of train.py for all trials")
    parser.add_argument("--jobs", type=int, help="trials at a time (default: 1, or one for each of --devices)")
    parser.add_argument("--devices", help="GPUs of each trial: '0,1;2,3' runs two trials with two GPUs each")
    parser.add_argument("--trials", type=int, help="trials in all (default: the file's run_cap, or all of a grid)")
    parser.add_argument("--timeout-minutes", type=float, help="a trial that takes longer has failed")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search; trials have their own (default: 0)")
    parser.add_argument("--folder", type=Path, help="folder of the sweep (default: runs/sweeps/<name>)")
    parser.add_argument("--wandb", action="store_true", help="register the sweep with W&B's server and run an agent")
    return parser.parse_intermixed_args(arguments)


def make_slots(jobs: int | None, devices: str | None) -> list[dict[str, str]]:
    """What each trial at a time finds in its environment: its GPUs, and its share of the cores."""
    groups = [] if devices is None else [group.strip() for group in devices.split(";")]
    if not all(groups):
        raise ValueError(f"--devices must name the GPUs of each trial, as in '0,1;2,3', got {devices!r}")
    if groups and jobs is not None and jobs != len(groups):
        raise ValueError(
            f"--jobs {jobs} does not fit --devices {devices!r}, which are of {len(groups)} trials at a time"
        )
    count = len(groups) or (1 if jobs is None else jobs)
    if count < 1:
        raise ValueError(f"--jobs must be at least 1, got {jobs}")
    threads = str(max(1, len(os.sched_getaffinity(0)) // count))
    slots = [{"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)} for _ in range(count)]
    for slot, group in zip(slots, groups, strict=False):
        slot["CUDA_VISIBLE_DEVICES"] = group
    return slots


def check(options: argparse.Namespace) -> None:
    """ValueError for numbers out of range and for options that mean nothing together."""
    for name in ("trials", "timeout_minutes"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ValueError(f"--{name.replace('_', '-')} must be above 0, got {value}")
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    if options.wandb and any((options.jobs, options.devices, options.timeout_minutes, options.folder)):
        raise ValueError(
            "--jobs, --devices, --timeout-minutes and --folder are for sweeps without --wandb: start several agents instead"
        )


def sweep(options: argparse.Namespace) -> int:
    """Run, or go on with, the sweep that the command line names; the exit code."""
    check(options)
    slots = make_slots(options.jobs, options.devices)
    # Imported here so that --help and misspelt settings answer at once.
    from launch.sweep.sweep_file import check_against_train, read_sweep

    asked = read_sweep(options.file, options.overrides, with_wandb=options.wandb)
    num_trials = options.trials if options.wandb else asked.count_trials(options.trials)
    check_against_train(asked)

    from launch.quiet import quiet
    from launch.sweep.engine import Engine
    from launch.sweep.report import best_command, best_trial, print_table
    from launch.sweep.server import run_agent
    from launch.train.summary import relative

    quiet()
    if options.wandb:
        run_agent(asked, num_trials=num_trials)
        return 0
    engine = Engine(
        asked,
        options.folder or Path("runs") / "sweeps" / asked.name,
        slots,
        num_trials,
        seed=options.seed,
        timeout_seconds=None if options.timeout_minutes is None else 60 * options.timeout_minutes,
    )
    trials = engine.run()
    print_table(asked, trials)
    print(f"\nreport  {relative(engine.folder / 'report.html')}")
    best = best_trial(asked, trials)
    if best is not None:
        print(f"run     {relative(engine.folder_of(best))}\nbest    {best_command(asked, best)}")
    if engine.stopped_by is not None:
        print("interrupted: the same command goes on", file=sys.stderr)
        return 128 + engine.stopped_by
    return 0


def main() -> None:
    announce("sweep.py")  # also where an installed command imports this file
    options = parse(sys.argv[1:])
    with one_line_errors():
        sys.exit(sweep(options))


if __name__ == "__main__":
    main()
