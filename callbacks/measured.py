"""What is measured of a method: logged by its name with the best so far, and kept for whoever asks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, Trainer

from callbacks.loggers.entries import log_values
from lightning_modules.base import Method
from metrics.measures import COMPANIONS, Direction, better, joined


def direction_of(measure: str, method: Method) -> Direction:
    """Which way ``measure`` is better, as the method or one of its capabilities says; ValueError where none does.

    ``name:part``, such as that of one class, has the direction of ``name``.
    """
    directions = joined(method.directions(), COMPANIONS)
    measure = measure.partition(":")[0]
    if measure not in directions:
        kind = type(method).__name__
        raise ValueError(
            f"{kind} names no direction for the measure {measure!r}, so its best is not known and it cannot be logged: state "
            f'it in the class, as in measures = {{{measure!r}: "lower"}}; it names {", ".join(sorted(directions))}'
        )
    return directions[measure]


class Measuring(Callback):
    """Base of the callbacks that measure a method.

    ``measured``: whole name, such as ``fd_pixels_1438`` -> the value as last measured by this process. ``best``: the best
    value of each so far.
    """

    def __init__(self) -> None:
        self.measured: dict[str, float] = {}
        self.best: dict[str, float] = {}

    def whole_names(self, trainer: Trainer, method: Method) -> dict[str, str]:
        """Measure -> its whole name in the logs of this run, for all that is measured while ``method`` trains."""
        return {}

    def move_best(self, name: str, value: float, direction: Direction) -> None:
        """Take ``value`` into account in the best of ``name``."""
        self.best[name] = better(value, self.best.get(name, value), direction)

    def log_measures(
        self, trainer: Trainer, method: Method, values: Mapping[str, float], *, names: Mapping[str, str]
    ) -> None:
        """Log ``metric/<name>`` and ``best/<name>`` of each measure in ``values``, under its name in ``names``.

        ValueError for a measure without a direction: then nothing is logged.
        """
        directions = {measure: direction_of(measure, method) for measure in values}
        row: dict[str, float] = {}
        for measure, value in values.items():
            name = names[measure]
            self.move_best(name, value, directions[measure])
            self.measured[name] = value
            row |= {f"metric/{name}": value, f"best/{name}": self.best[name]}
        log_values(trainer, method, row)


class MeasuringInTraining(Measuring):
    """One that measures every ``every_kimg`` and at the end of training, once at each clock.

    The best values are in the checkpoint: a resumed run goes on with them.
    """

    def __init__(self, *, every_kimg: float) -> None:
        super().__init__()
        self.every_kimg = every_kimg
        self.measured_at = -1  # images seen

    @abstractmethod
    def measure(self, trainer: Trainer, method: Method) -> None:
        """Measure and log what this callback measures of ``method``; nothing of a method that it leaves alone."""

    def measure_now(self, trainer: Trainer, method: Method) -> None:
        self.measured_at = method.images_seen
        self.measure(trainer, method)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        # The last state is measured at the end, once it is concluded.
        if method.crossed(self.every_kimg) and not trainer.should_stop:
            self.measure_now(trainer, method)

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if self.measured_at != method.images_seen:
            self.measure_now(trainer, method)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "measured_at": self.measured_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.measured_at = state_dict["best"], state_dict["measured_at"]


def measuring(trainer: Trainer) -> list[Measuring]:
    """The callbacks of ``trainer`` that measure."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if isinstance(callback, Measuring)]


def all_measured(trainer: Trainer) -> dict[str, float]:
    """``metric/<name>`` -> the value as last measured by this process, of all that its callbacks measured."""
    return {f"metric/{name}": value for callback in measuring(trainer) for name, value in callback.measured.items()}
