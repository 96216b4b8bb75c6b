"""The commands of docs/launching.md are ones that train.py takes."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from launch.train.multirun import check_command_line
from tests.conftest import ROOT
from tests.support.slurm import split

BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "launching.md").read_text(), re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_compose(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(COMMANDS) >= 10
    if command[0] == "sbatch":
        _, (script, *arguments) = split(command[1:])
        assert (ROOT / script).exists()
    elif "train.py" in command:
        arguments = command[command.index("train.py") + 1 :]
    else:
        pytest.skip("not ours")
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    check_command_line("train")
