"""The last and the best state of a run on disk, and what is left of its randomness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from callbacks.measured import Measuring, direction_of, measuring
from generative.generators import generator_states, restore_generators
from generative.ranks import from_all_ranks
from lightning_modules.base import Method


def find_measure(name: str, measured: Mapping[str, str]) -> str:
    """The whole name of the measure that ``name`` means: of ``fd``, ``fd_pixels_1438`` or ``metric/fd_pixels_1438`` the second.

    ``measured``: the whole name of each measure of the run -> the measure. ValueError, with the nearest name, where there is
    no such one, and where several callbacks measure it.
    """
    asked = name.removeprefix("metric/")
    if asked in measured:
        return asked
    found = [whole for whole, measure in measured.items() if measure == asked]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"callbacks.checkpoints.best is {name!r}, which may mean {' or '.join(found)}: give one of these"
        )
    if not measured:
        raise ValueError(
            f"callbacks.checkpoints.best is {name!r}, but this run measures nothing while it trains: leave it out "
            "(callbacks.checkpoints.best=null)"
        )
    near = get_close_matches(asked, [*measured.values(), *measured], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    known = ", ".join(f"{measure} (metric/{whole})" for whole, measure in measured.items())
    raise ValueError(
        f"callbacks.checkpoints.best is {name!r}, which this run does not measure; {hint}Measured are {known}, as the "
        "settings `metrics` of the callbacks say"
    )


def kept_name(images_seen: int, *, every_kimg: float) -> str:
    """The file of the state kept for the last multiple of ``every_kimg`` in ``images_seen``: ``25kimg.ckpt``, ``0.5kimg.ckpt``.

    A step seldom hits the multiple: the checkpoint itself states what it has seen.
    """
    every = round(every_kimg * 1000)
    return f"{images_seen // every * every / 1000:.12g}kimg.ckpt"


class Checkpoints(Callback):
    """Saves ``checkpoints/last.ckpt`` every ``every_kimg`` and at the end, ``best.ckpt`` when ``best`` improves.

    ``best`` names what any callback measures during training, in short (``fd``) or as it is logged
    (``metric/fd_pixels_1438``); none, no best. One that is not measured is refused before the first step. Its direction
    is the method's. ``keep_every_kimg`` keeps the states of these times for good as :func:`kept_name` says (0: none): as they
    train, and at the end of the run as it is concluded.
    Writing is atomic, and the last checkpoint but one is kept, where the trainer has
    :class:`launch.checkpoint.AtomicCheckpointIO`. All ranks take part: the states of every rank's generators are saved.
    """

    def __init__(
        self, *, run_dir: str, every_kimg: float, best: str | None = None, keep_every_kimg: float = 0.0
    ) -> None:
        if keep_every_kimg != 0 and not keep_every_kimg >= 0.001:
            raise ValueError(
                f"callbacks.checkpoints.keep_every_kimg must be 0 (none) or at least 0.001, one image, got {keep_every_kimg}"
            )
        self.folder = Path(run_dir) / "checkpoints"
        self.every_kimg = every_kimg
        self.keep_every_kimg = keep_every_kimg
        self.best = best
        self.best_name: str | None = None  # the whole one, once the run has begun
        self.measuring: Measuring | None = None  # who measures it
        self.sign = 1.0  # of a value of that name, so that lower is better
        self.best_value = math.inf  # with that sign
        self.best_value_of: str | None = None  # the column that it was measured in, as loaded
        self.saved_images = -1  # the clock at the last save of last.ckpt
        self.generators: list[dict[str, Any]] | None = None  # of the ranks, as loaded

    def on_fit_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if self.best is None:
            return
        who: dict[str, Measuring] = {}
        measured: dict[str, str] = {}
        for callback in measuring(trainer):
            for measure, name in callback.whole_names(trainer, method).items():
                who[name], measured[name] = callback, measure
        self.best_name = find_measure(self.best, measured)
        self.measuring = who[self.best_name]
        self.sign = 1.0 if direction_of(measured[self.best_name], method) == "lower" else -1.0

    @property
    def best_column(self) -> str | None:
        """Of the logs, that of ``best_name``."""
        return None if self.best_name is None else f"metric/{self.best_name}"

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        # The best of another folder, by another metric or of what does not compare with it is no best here.
        is_of_this = (self.folder / "best.ckpt").exists() and self.best_value_of in (None, self.best_column)
        is_compared = self.measuring is not None and self.best_name in self.measuring.best
        if not is_of_this or not is_compared:
            self.best_value = math.inf
        if self.generators is None:
            return
        if len(self.generators) == trainer.world_size:
            restore_generators(self.generators[trainer.global_rank], method.device)
        elif trainer.is_global_zero:
            print(
                f"continues on {trainer.world_size} ranks (was {len(self.generators)}): the global random generators start "
                "anew; data, latents and augmentation go on as they were"
            )
        self.generators = None

    def save_best(self, trainer: Trainer, method: Method) -> None:
        if self.measuring is None or self.best_name not in self.measuring.measured:
            return
        value = self.sign * self.measuring.measured[self.best_name]
        if value < self.best_value:
            self.best_value = value
            self.save(trainer, "best.ckpt")

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        self.save_best(trainer, method)
        # After the last step it is saved with what is measured at the end: a run killed between would miss that.
        if trainer.should_stop:
            return
        self.keep(trainer, method)
        if method.crossed(self.every_kimg):
            self.save_last(trainer, method)

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.save_best(trainer, method)
        self.keep(trainer, method)
        self.save_last(trainer, method)

    def keep(self, trainer: Trainer, method: Method) -> None:
        # Before last.ckpt: a run that goes on from that has not seen this step.
        if method.crossed(self.keep_every_kimg):
            self.save(trainer, kept_name(method.images_seen, every_kimg=self.keep_every_kimg))

    def save_last(self, trainer: Trainer, method: Method) -> None:
        self.save(trainer, "last.ckpt")
        self.saved_images = method.images_seen

    def save(self, trainer: Trainer, name: str) -> None:
        for logger in trainer.loggers:
            logger.save()  # the tables are written before the checkpoint that counts their rows
        trainer.save_checkpoint(self.folder / name)

    def on_save_checkpoint(self, trainer: Trainer, method: Method, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        checkpoint["generators"] = from_all_ranks(generator_states(method.device))
        checkpoint["dashboards"] = {type(logger).__name__: str(logger.version) for logger in trainer.loggers}

    def on_load_checkpoint(self, trainer: Trainer, method: Method, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        self.generators = checkpoint.get("generators")

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "best_value_of": self.best_column}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value = state_dict["best_value"]
        self.best_value_of = state_dict.get("best_value_of")  # None: of a checkpoint that did not say it
