"""The same sweep by W&B's server: it is registered there, and an agent here asks for its trials."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from launch.sweep.sweep_file import MACRO, OPENING, PROGRAM, Sweep

PROJECT = "polymorph"


def registered_form(sweep: Sweep) -> dict[str, Any]:
    """The file with nested blocks under dotted names, which is how train.py takes them, and runs that report to W&B.

    ValueError for a parameter that chooses a file of a group, such as ``prior@method.prior``: W&B refuses such a name.
    """
    for parameter in sweep.parameters:
        if "@" in parameter.name:
            raise ValueError(
                f"W&B takes no parameter named {parameter.name}, which chooses a file of configs: run this sweep without --wandb"
            )
    command = [*OPENING, *sweep.before, MACRO, *sweep.after]
    if not any(part.startswith("logger=") for part in command):
        command.append("logger=wandb")
    form = {**sweep.content, "name": sweep.name, "command": command}
    form["parameters"] = {parameter.name: parameter.spec for parameter in sweep.parameters}
    return form


def run_agent(sweep: Sweep, *, num_trials: int | None) -> str:
    """Register ``sweep``, run its trials until the server has no more or ``num_trials``; returns the sweep's number."""
    if not os.environ.get("WANDB_API_KEY"):
        raise ValueError("--wandb needs the environment variable WANDB_API_KEY; without --wandb no server is needed")
    if not Path(PROGRAM).is_file():
        raise ValueError(
            f"W&B's agent starts {PROGRAM} of the current folder, and there is none: go to the repository's"
        )
    import wandb

    # The agent starts `python`, which is to be the one that runs this.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    project = sweep.content.get("project") or PROJECT
    number = wandb.sweep(registered_form(sweep), entity=sweep.content.get("entity"), project=project)
    wandb.agent(number, count=num_trials)
    return str(number)
