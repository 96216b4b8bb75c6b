"""sweep.jsonl: what a sweep has decided and seen. A line is on the disk before what it says is acted upon."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from records.run_files import append_line, read_lines

TRIALS = "trials"  # the folder, in a sweep's, of its trials
OVER = ("done", "failed", "stopped_early")


@dataclass(frozen=True)
class Trial:
    """One run of train.py. ``state``: running, interrupted, done, failed or stopped_early.

    ``kind`` and ``why``: of a failure. ``seconds``: of all its starts that were seen to end.
    """

    number: int
    values: dict[str, Any]
    point: dict[str, float] = field(default_factory=dict)
    state: str = "running"
    objective: float | None = None
    seconds: float = 0.0
    kind: str | None = None
    why: str | None = None

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def place(self) -> str:
        """Of its run folder in the folder of the sweep; its output lies beside it, with the ending ``.log``."""
        return f"{TRIALS}/{self.number:04d}"


class Journal:
    """The trials of the sweep in ``folder``, as its file tells them; ``record`` adds a line."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sweep.jsonl"
        self.trials: dict[int, Trial] = {}
        self.identity: dict[str, Any] | None = None
        for line in read_lines(self.path):
            if "sweep" in line:
                self.identity = line["sweep"]
            else:
                self.trials[line["number"]] = Trial(**line)

    def open_for(self, identity: dict[str, Any]) -> None:
        """Begin, or go on with, the sweep ``identity``; ValueError where the folder holds another."""
        if self.identity is None:
            append_line(self.path, {"sweep": identity})
            self.identity = identity
        # As the file gives it back: tuples are lists there.
        changed = [key for key in identity if self.identity.get(key) != json.loads(json.dumps(identity[key]))]
        if changed:
            raise ValueError(
                f"{self.path.parent} holds a sweep with another {changed[0]}: go on with that one, or choose another folder"
            )

    def record(self, trial: Trial, **changes: Any) -> Trial:
        """Note ``trial`` with ``changes``; its latest line counts."""
        trial = replace(trial, **changes)
        append_line(self.path, asdict(trial))
        self.trials[trial.number] = trial
        return trial
