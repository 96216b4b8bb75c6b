"""Stands in for train.py where a test is about the sweep: it measures (x - 0.3)^2 at once, and misbehaves when asked.

Settings: ``x``; ``offset``, added; ``deed``: none, crash, diverge, hang, slow or silent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROWS = 4


def main() -> None:
    settings = dict(argument.split("=", 1) for argument in sys.argv[1:])
    folder = Path(settings["run_dir"].strip("'").replace("\\'", "'"))
    assert settings["resume"] == "auto"
    deed = settings.get("deed", "none")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("")
    starts = folder / "starts.txt"
    for earlier in starts.read_text().split() if starts.exists() else ():
        with suppress(OSError):
            assert not Path(f"/proc/{earlier}/environ").read_bytes(), "two processes in one run folder"
    with starts.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if deed == "crash":
        raise RuntimeError("lost the way")
    if deed == "hang":
        # Deaf, and with a child that has left the group.
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (folder / "hangs").touch()
        time.sleep(600)
    if deed == "diverge":
        record = {"kind": "non_finite", "message": "loss/critic = nan at step 3", "kimg": 0.1}
        (folder / "failure.json").write_text(json.dumps(record))
        sys.exit(3)
    value = (float(settings["x"]) - 0.3) ** 2 + float(settings.get("offset", 0)) + (deed == "slow")
    column = "metric/other" if deed == "silent" else "metric/fd"
    lines = [f"progress/kimg,{column}"] + [f"{row},{value * (1 + ROWS - row)}" for row in range(1, ROWS + 1)]
    if deed == "slow":
        (folder / "metrics.csv").write_text("\n".join(lines[:3]) + "\n")
        time.sleep(600)
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
