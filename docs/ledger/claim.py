"""What all claims have: where a source says what, and the words of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docs.ledger.orders import Row
from docs.ledger.results import ResultsFile, selected, value
from launch.errors import did_you_mean


def filled(text: str, values: Mapping[str, Any]) -> str:
    """``text`` with its ``{names}`` replaced by ``values``; ValueError where it has others."""
    try:
        return text.format_map(values)
    except KeyError as error:
        name = str(error.args[0])
        raise ValueError(f"there is nothing to fill {{{name}}} in with{did_you_mean(name, values)}") from error


@dataclass(frozen=True, kw_only=True)
class Fill:
    """A number inside the words of a claim: the ``take`` of a value over lines of a file, with ``digits`` behind the point."""

    results: ResultsFile
    value: str
    only: dict[str, Any] = field(default_factory=dict)
    take: str = "mean"
    digits: int = 3

    def __post_init__(self) -> None:
        if self.take not in ("mean", "lowest"):
            raise ValueError(f"take must be mean or lowest, got {self.take!r}")

    def text(self) -> str:
        values = [value(line, self.value) for line in selected(self.results, self.only)]
        if not values:
            return "(not measured yet)"
        number = min(values) if self.take == "lowest" else sum(values) / len(values)
        return f"{number:.{self.digits}f}"


@dataclass(frozen=True, kw_only=True)
class Claim(ABC):
    """What a source says, and where."""

    where: str
    says: str

    @abstractmethod
    def row(self) -> Row:
        """The claim with what was measured."""


@dataclass(frozen=True, kw_only=True)
class Filled(Claim, ABC):
    """One with ``{names}`` in its words, each a number of ``fills``."""

    fills: dict[str, Fill] = field(default_factory=dict)

    def filling(self) -> dict[str, str]:
        return {name: fill.text() for name, fill in self.fills.items()}


@dataclass(frozen=True, kw_only=True)
class Untested(Claim):
    needs: str

    def row(self) -> Row:
        return Row(self.where, self.says, verdict=f"not testable here: needs {self.needs}")
