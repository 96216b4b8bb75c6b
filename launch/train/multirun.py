"""``-m``: every trial of a Hydra multirun is a process of its own, which starts its own ranks if it has several.

In one process the trials would share Lightning's state, and a rank that Lightning starts would begin the multirun again.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode

from launch.compose import CONFIGS, check_grammar, check_overrides, quoted
from launch.ranks import launcher_name

FLAGS = ("-m", "--multirun")
PASSED_ON = (signal.SIGTERM, signal.SIGUSR1)  # what a cluster sends before it takes the machine away
SUBMITIT = "hydra/launcher=submitit"


def check_command_line(config_name: str) -> None:
    """``check_overrides`` for this process, for every trial of a multirun too."""
    arguments = [argument for argument in sys.argv[1:] if argument not in FLAGS]
    if len(arguments) == len(sys.argv) - 1 or any(argument.startswith("-") for argument in arguments):
        check_overrides(config_name, sys.argv[1:])
        return
    check_multirun(config_name, arguments)
    sys.argv[1:] = ["-m", *arguments]  # Hydra takes its flag first or last only
    # A job of submitit is another program, which imports ours.
    paths = [str(CONFIGS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def check_multirun(config_name: str, arguments: Sequence[str]) -> None:
    """ValueError, before any trial starts, for what no trial or not all of them could do."""
    if launcher_name() is not None:
        raise ValueError(f"-m starts the processes of each trial itself: start it without {launcher_name()}")
    submits = any(argument.startswith(SUBMITIT) for argument in arguments)
    if submits and importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher") is None:
        raise ValueError("hydra/launcher=submitit_... needs a package: pip install -c constraints.txt -e '.[slurm]'")
    try:
        overrides = OverridesParser.create().parse_overrides(list(arguments))
        (trials,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    except HydraException as error:
        for argument in arguments:
            check_grammar(argument, may_sweep=True)
        raise ValueError(str(error).splitlines()[0]) from error
    for override in overrides:
        name = override.get_key_element()
        if name == "run_dir" and not override.is_sweep_override() and "${" not in str(override.value()):
            raise ValueError(
                f"run_dir={override.value()} would be the folder of all {len(trials)} trials: give hydra.sweep.dir="
                f"{override.value()}, in which they are 0, 1, ..."
            )
        if name in ("hydra.launcher.tasks_per_node", "hydra.launcher.nodes") and override.value() != 1:
            raise ValueError(f"{name} must be 1: a trial is one task, which starts its ranks itself (trainer=ddp)")
    groups = {folder.name for folder in CONFIGS.iterdir() if folder.is_dir()}

    def choices(trial: Sequence[str]) -> tuple[str, ...]:
        return tuple(argument for argument in trial if argument.split("=")[0] in groups)

    # The keys that there are depend on the groups chosen.
    for trial in {choices(trial): trial for trial in reversed(trials)}.values():
        check_overrides(config_name, trial)


def is_multirun() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def run_trial(program: str) -> None:
    """One trial of a multirun, to its end; ValueError where it fails: Hydra goes on with the others, then fails."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = list(hydra.overrides.task)
    is_placed = any(override.split("=")[0].lstrip("+") == "run_dir" for override in overrides)
    name = f"trial {hydra.job.num} ({' '.join(overrides)})"
    print(f"{name}{'' if is_placed else f': {folder}'}", flush=True)
    command = [sys.executable, program, *overrides, *([] if is_placed else [f"run_dir={quoted(str(folder))}"])]
    process = subprocess.Popen(command)
    with signals_passed_on(process) as received:
        code = process.wait()
    with suppress(OSError):  # Hydra has made it; the trial has used it, or it is empty
        folder.rmdir()
    if received:
        raise SystemExit(code or 128 + received[0])
    if code != 0:
        raise ValueError(f"{name} has failed with exit code {code}")


@contextmanager
def signals_passed_on(process: subprocess.Popen[Any]) -> Iterator[list[int]]:
    """The list of the signals that came meanwhile: each has been given to ``process``, which ends when it has saved.

    The terminal gives its interrupt to all processes itself.
    """
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        received.append(number)
        if number in PASSED_ON:
            process.send_signal(number)

    before = {number: signal.signal(number, receive) for number in (*PASSED_ON, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
