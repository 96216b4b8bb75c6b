"""Claims judged by counting the parameters of networks, without memory for them."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from docs.ledger.claim import Claim
from docs.ledger.orders import Row
from docs.ledger.results import Facts
from launch.constructors import check_constructor_calls, find_target


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Arrays that the source counts and our network has not: their ``shapes``, what they ``are``, in a word ``short``."""

    shapes: tuple[tuple[int, ...], ...]
    are: str
    short: str


@dataclass(frozen=True, kw_only=True)
class CountedNetwork:
    """Arguments of a network's constructor, and the millions of parameters ``printed``, in quotes as they stand there."""

    settings: dict[str, Any]
    printed: str

    def __post_init__(self) -> None:
        try:
            float(self.printed)
        except ValueError as error:
            raise ValueError(f"printed must be millions of parameters such as '46.0', got {self.printed!r}") from error

    def agrees(self, count: int) -> bool:
        """Whether ``count`` is what is printed, rounded as that is."""
        decimals = len(self.printed.partition(".")[2])
        return f"{count / 1e6:.{decimals}f}" == self.printed


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def counted(command: str) -> Facts:
    return {"seeds": "-", "hardware": "any (counted, not trained)", "kimg": "-", "command": command}


@dataclass(frozen=True, kw_only=True)
class Counted(Claim, ABC):
    """Parameters of what ``constructor`` makes, as ``counted_by`` counts them: a function of the network."""

    constructor: str
    counted_by: str = "docs.ledger.counts.parameters"
    command: str

    def count(self, network: CountedNetwork) -> int:
        check_constructor_calls({"settings": {"_target_": self.constructor, **network.settings}})
        with torch.device("meta"):
            made = find_target(self.constructor, "constructor")(**network.settings)
        return int(find_target(self.counted_by, "counted_by")(made))


@dataclass(frozen=True, kw_only=True)
class Count(Counted):
    network: CountedNetwork
    beside: Beside

    def row(self) -> Row:
        count = self.count(self.network)
        whole = count + sum(prod(shape) for shape in self.beside.shapes)
        found = "reproduced" if self.network.agrees(whole) else "not reproduced"
        return Row(
            self.where,
            self.says,
            f"{count:,}; {whole:,} with {self.beside.are}",
            **counted(self.command),
            verdict=f"{found} with {self.beside.short} counted ({count / 1e6:.1f} M without)",
        )


@dataclass(frozen=True, kw_only=True)
class Counts(Counted):
    """``networks`` by the names of their rows; ``how`` ours come about."""

    networks: dict[str, CountedNetwork]
    how: str

    def row(self) -> Row:
        counts = {name: self.count(network) for name, network in self.networks.items()}
        others = [name for name, network in self.networks.items() if not network.agrees(counts[name])]
        words = "; ".join(f"{name} {counts[name]:,} ({self.networks[name].printed} M printed)" for name in others)
        same = len(counts) - len(others)
        return Row(
            self.where,
            self.says,
            f"otherwise: {words}" if others else "all as printed",
            **counted(self.command),
            verdict=f"{same} of {len(counts)} rows reproduced to the printed digit, {self.how}",
        )
