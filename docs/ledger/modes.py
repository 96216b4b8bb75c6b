"""Measured midpoints by prior: which scores may be compared, and each prior against the free control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from docs.ledger.ends import ENDS, UNTRAINED
from docs.ledger.midpoints import LAST, ON_THE_WAY
from docs.ledger.orders import LEAST_SEEDS, Order, holm
from docs.ledger.results import Line, read_results

STRAIGHT, CONTROL_PATH = "linear", "variance_preserving"
CONTROL = ("normal", CONTROL_PATH)
FAITHFUL = "running_statistics"  # how the chapter's base code draws
BEATS, WORSE, UNDECIDED = "beats the control", "worse than the control", "undecided at this scale"
OPEN, NOT_RUN = f"open: fewer than {LEAST_SEEDS} seeds", "not run: a seed fails the gate"
VERDICTS = (BEATS, WORSE, UNDECIDED, OPEN, NOT_RUN)
GATE = 0.5  # of an untrained generator's Frechet distance: what every seed's images of the prior must stay below


@dataclass(frozen=True)
class Arm:
    """Models of one prior, and the path that their midpoints are taken on; ``alone``: no other settings of it were trained."""

    prior: str
    settings: str
    path: str
    alone: bool

    @property
    def is_control(self) -> bool:
        return (self.prior, self.path) == CONTROL

    def __str__(self) -> str:
        name = self.prior if self.alone else f"{self.prior} ({self.settings})"
        return name if self.path == STRAIGHT else f"{name}, path {self.path.replace('_', ' ')}"


@dataclass(frozen=True)
class Mode:
    """What must be alike for scores to be compared: the experiment, its batch norm, dimension, and how images are drawn."""

    experiment: str
    normalization: str
    latent_dim: int
    sampling: str | None
    lines: list[Line] = field(compare=False, repr=False)  # of the last states
    states: list[Line] = field(compare=False, repr=False)  # on the way, the last one among them
    untrained: list[Line] = field(compare=False, repr=False)  # the prior alone

    def __str__(self) -> str:
        norm = "no normalization" if self.normalization == "none" else f"{self.normalization} norm"
        drawn = f", {self.sampling.replace('_', ' ')}" if self.sampling else ""
        return f"{norm}{drawn}, {self.latent_dim} numbers (`{self.experiment}`)"

    def arms_on(self, path: str) -> list[Arm]:
        """Every prior on one path, where its combinations were measured on that."""
        settings = {(line["prior"], line["prior_settings"]) for line in self.lines}
        priors = [prior for prior, _ in settings]
        measured = {(line["prior"], line["prior_settings"]) for line in self.lines if line["path"] == path}
        return sorted((Arm(*one, path, priors.count(one[0]) == 1) for one in measured), key=str)

    def arms(self) -> list[Arm]:
        """The control first, then each prior on straight lines."""
        return [*filter(lambda arm: arm.is_control, self.arms_on(CONTROL_PATH)), *self.arms_on(STRAIGHT)]

    def kimgs(self) -> list[float]:
        return sorted({line["kimg"] for line in self.states})

    def values(self, arm: Arm, measure: str, what: str, kimg: float | None = None) -> list[float]:
        """Of ``measure``, one a training seed; of last states unless ``kimg`` is given. The prior itself has no path."""
        lines = self.lines if kimg is None else [line for line in self.states if line["kimg"] == kimg]
        path = "none" if what == "prior" else arm.path
        asked = {"prior": arm.prior, "prior_settings": arm.settings, "what": what, "path": path}
        return [line[measure] for line in lines if line.items() >= asked.items() and line.get(measure) is not None]

    @property
    def gate(self) -> float | None:
        """The Frechet distance that trained generators must stay below; None where no untrained one was measured."""
        found = [line["fd"] for line in self.untrained]
        return GATE * sum(found) / len(found) if found else None

    def passes(self, arm: Arm) -> bool:
        """Whether each seed's images of the prior lie below the gate, where there is one."""
        return self.gate is None or all(fd < self.gate for fd in self.values(arm, "fd", "prior"))

    def order(self, arm: Arm, control: Arm) -> Order:
        """Whether ``arm`` beats ``control`` at midpoints."""
        values = [self.values(one, "fd", "midpoint") for one in (arm, control)]
        return Order("FD", *values, lower=True, holds=BEATS, reverse=WORSE)


def modes() -> list[Mode]:
    """Those of docs/results; of two ways to draw, that of the chapter's base code comes first."""
    untrained = [line for line in read_results(ENDS) if line["end"] == UNTRAINED]
    of_modes = (read_results(LAST), read_results(ON_THE_WAY), untrained)
    keys = ("experiment", "normalization", "latent_dim", "sampling")
    found = {tuple(line[key] for key in keys) for line in of_modes[0]}
    return [
        Mode(*key, *([line for line in lines if tuple(line[k] for k in keys) == key] for lines in of_modes))
        for key in sorted(found, key=lambda key: (str(key[:3]), key[3] != FAITHFUL))
    ]


@dataclass(frozen=True)
class Comparison:
    """A prior's midpoints against the control's, ``p`` among all comparisons of the page; nan of one that is not tested."""

    mode: Mode
    arm: Arm
    order: Order
    passes: bool  # both the gate
    p: float

    @property
    def verdict(self) -> str:
        """One of ``VERDICTS``."""
        return OPEN if self.order.is_open else self.order.verdict(self.p) if self.passes else NOT_RUN


def compared(all_modes: Sequence[Mode]) -> list[Comparison]:
    """Every other arm of every mode against the control of that mode, where it has one; p by Holm over those tested."""
    asked = []
    for mode in all_modes:
        control = next((arm for arm in mode.arms() if arm.is_control), None)
        if control is not None:
            both = mode.passes(control)
            others = [arm for arm in mode.arms() if arm.prior != CONTROL[0]]
            asked += [(mode, arm, mode.order(arm, control), both and mode.passes(arm)) for arm in others]
    tested = [order for _, _, order, passes in asked if passes and not order.is_open]
    p_values = dict(zip(map(id, tested), holm([order.p for order in tested]), strict=True))
    return [Comparison(*one, p_values.get(id(one[2]), float("nan"))) for one in asked]
