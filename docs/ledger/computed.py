"""Claims judged by rows that a command computed without training anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docs.ledger.arms import Bounds
from docs.ledger.claim import Claim
from docs.ledger.orders import Row
from docs.ledger.results import WrittenFile, selected, value


@dataclass(frozen=True, kw_only=True)
class ComputedValue:
    """The entry ``value`` of the one row that has ``only``: to be as ``printed``, and within ``bounds``.

    ``printed`` stands in quotes as it does there. ``digits`` are those behind the point where nothing is printed.
    """

    value: str
    only: dict[str, Any] = field(default_factory=dict)
    printed: str = ""
    bounds: Bounds | None = None
    digits: int = 4

    def found(self, name: str) -> float:
        """It in docs/results; ValueError where not one row is meant."""
        lines = selected(name, self.only)
        if len(lines) != 1:
            raise ValueError(f"{len(lines)} lines of docs/results/{name}.jsonl have {self.only}, and one is meant")
        return value(lines[0], self.value)

    def text(self, found: float) -> str:
        decimals = len(self.printed.partition(".")[2]) if self.printed else self.digits
        return f"{found:.{decimals}f}"

    def holds(self, found: float) -> bool:
        return self.printed in ("", self.text(found)) and (self.bounds is None or self.bounds.hold(found))


@dataclass(frozen=True, kw_only=True)
class Computed(Claim):
    """``values`` of the rows ``of`` a file, by the names that the page calls them.

    The verdict is ``holds`` where all of them are as printed and within their bounds, else ``otherwise``. ``seeds`` and
    ``hardware`` are stated where rows hang on trained weights.
    """

    of: WrittenFile
    values: dict[str, ComputedValue]
    command: str
    holds: str
    otherwise: str
    seeds: str = "-"
    hardware: str = "any (computed, not trained)"

    def row(self) -> Row:
        found = {name: asked.found(self.of) for name, asked in self.values.items()}
        words = []
        for name, asked in self.values.items():
            beside = f" (printed {asked.printed})" if asked.printed else ""
            words.append(f"{name} {asked.text(found[name])}{beside}")
        is_so = all(asked.holds(found[name]) for name, asked in self.values.items())
        return Row(
            self.where,
            self.says,
            ", ".join(words),
            seeds=self.seeds,
            hardware=self.hardware,
            kimg="-",
            command=self.command,
            verdict=self.holds if is_so else self.otherwise,
        )
