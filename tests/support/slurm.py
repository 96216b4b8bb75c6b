"""A cluster of one machine: what sbatch, srun and scontrol do as far as the example scripts use it.

sbatch runs the script at once and, as long as it is requeued, again. Nodes are told apart by their numbers only.
PREEMPT_AT names a file: when it appears srun kills its tasks and requeues the job, once, as where a node dies.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

JOB = "4242"
REQUEUED = Path("requeued")


def install(folder: Path) -> str:
    """Put the commands into ``folder``; the PATH that finds them."""
    folder.mkdir()
    for name in ("sbatch", "srun", "scontrol"):
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
        command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def directives(script: Path) -> dict[str, str]:
    """Option -> value of the lines ``#SBATCH --option=value``."""
    lines = re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", script.read_text(), re.MULTILINE)
    assert len(lines) == script.read_text().count("\n#SBATCH"), f"{script.name} has a directive that is no option"
    return dict(lines)


def split(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options in front, and the command behind them."""
    count = next(i for i, argument in enumerate(arguments) if not argument.startswith("--"))
    options = [argument.removeprefix("--").partition("=") for argument in arguments[:count]]
    return {name: value for name, _, value in options}, arguments[count:]


def sbatch(arguments: list[str]) -> int:
    given, command = split(arguments)
    options = directives(Path(command[0])) | given
    names = {
        "SLURM_JOB_ID": JOB,
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_SUBMIT_DIR": os.getcwd(),
        "SLURM_NNODES": options["nodes"],
        "SLURM_NTASKS_PER_NODE": options["ntasks-per-node"],
        "SLURM_NTASKS": str(int(options["nodes"]) * int(options["ntasks-per-node"])),
        "SLURM_CPUS_PER_TASK": options["cpus-per-task"],
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
    }
    num_restarts = 0
    while True:
        restart = {"SLURM_RESTART_COUNT": str(num_restarts)} if num_restarts else {}
        code = subprocess.run(["bash", *command], env={**os.environ, **names, **restart}).returncode
        if not REQUEUED.exists():
            return code
        assert "requeue" in options, "the job may not be requeued"
        REQUEUED.unlink()
        num_restarts += 1


def srun(arguments: list[str]) -> int:
    options, command = split(arguments)
    num_nodes, num_local = int(os.environ["SLURM_NNODES"]), int(os.environ["SLURM_NTASKS_PER_NODE"])
    step = {
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(num_nodes * num_local),
        "SLURM_STEP_NUM_NODES": str(num_nodes),
        "SLURM_STEP_NODELIST": os.environ["SLURM_JOB_NODELIST"],
        "SLURM_STEP_TASKS_PER_NODE": f"{num_local}(x{num_nodes})" if num_nodes > 1 else str(num_local),
    }
    tasks = []
    for rank in range(num_nodes * num_local):
        place = {
            "SLURM_PROCID": str(rank),
            "SLURM_NODEID": str(rank // num_local),
            "SLURM_LOCALID": str(rank % num_local),
        }
        tasks.append(subprocess.Popen(command, env={**os.environ, **step, **place}))
    first_bad = 0
    preempt_at = os.environ.get("PREEMPT_AT")
    while any(task.poll() is None for task in tasks):
        preempted = preempt_at is not None and "SLURM_RESTART_COUNT" not in os.environ and Path(preempt_at).exists()
        if preempted:
            REQUEUED.touch()
        first_bad = first_bad or next((task.returncode for task in tasks if task.returncode), 0)
        if preempted or ("kill-on-bad-exit" in options and first_bad):
            for task in tasks:
                task.kill()
        time.sleep(0.02)
    return abs(first_bad or next((task.returncode for task in tasks if task.returncode), 0))


def scontrol(arguments: list[str]) -> int:
    if arguments[:2] == ["show", "hostnames"]:
        print("\n".join(arguments[2].split(",")))
    elif arguments == ["requeue", JOB]:
        REQUEUED.touch()
    else:
        raise ValueError(f"the examples do not use scontrol {arguments}")
    return 0


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "srun": srun, "scontrol": scontrol}[sys.argv[1]](sys.argv[2:]))
