"""Claims judged by the rows that a task wrote: which of them is best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docs.ledger.claim import Claim, filled
from docs.ledger.orders import Row
from docs.ledger.results import Line, WrittenFile, checked_direction, entry, facts, results_path, selected, value
from launch.errors import did_you_mean
from metrics.measures import Direction, better


@dataclass(frozen=True, kw_only=True)
class Ranked(Claim):
    """Rows that a task wrote, each called by its entry ``named_by`` (or what ``called`` has for it) and stated by ``each``.

    The best ``among`` them (default: of all) by ``measure`` is to be ``best``: then the verdict is ``verdict``, else
    ``otherwise``. Without ``best`` the verdict names it as ``{best}``. In ``ours`` and ``command``: ``{rows}``, the
    entries of the first row, and the experiment. Beside the file lies a .json of the same name about the run.
    """

    of: WrittenFile
    only: dict[str, Any] = field(default_factory=dict)
    named_by: str
    called: dict[str, str] = field(default_factory=dict)
    each: str
    measure: str
    direction: Direction | None = None
    among: tuple[str, ...] = ()
    best: str = ""
    ours: str
    command: str
    verdict: str
    otherwise: str = ""

    def __post_init__(self) -> None:
        checked_direction(self.measure, self.direction)
        if bool(self.best) != bool(self.otherwise):
            raise ValueError(
                "'best' and 'otherwise' go together: a row that is to be best, and the verdict where it is not"
            )

    def row(self) -> Row:
        lines = {str(entry(line, self.named_by)): line for line in selected(self.of, self.only)}
        record = json.loads(results_path(self.of).with_suffix(".json").read_text())
        rows = [filled(self.each, {**line, "name": self.called.get(name, name)}) for name, line in lines.items()]
        first = next(iter(lines.values()))
        words = {**first, "experiment": record["experiment"], "rows": ", ".join(rows), "best": self.found_best(lines)}
        verdict = self.otherwise if self.best not in ("", words["best"]) else self.verdict
        return Row(
            self.where,
            self.says,
            filled(self.ours, words),
            **facts([record], filled(self.command, words)),
            verdict=filled(verdict, words),
        )

    def found_best(self, lines: Mapping[str, Line]) -> str:
        """The name of the best row; of equal ones the first."""
        for name in (*self.among, *self.called, *filter(None, [self.best])):
            if name not in lines:
                raise ValueError(f"docs/results/{self.of}.jsonl has no row {name!r}{did_you_mean(name, lines)}")
        values = {name: value(lines[name], self.measure) for name in self.among or lines}
        direction = checked_direction(self.measure, self.direction)
        best = next(iter(values))
        for name in values:
            if better(values[name], values[best], direction) != values[best]:
                best = name
        return best
