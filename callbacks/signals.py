"""SIGTERM, SIGUSR1 and Ctrl-C end a run at the next step boundary, with a checkpoint."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, Trainer

from callbacks.checkpoints import Checkpoints
from lightning_modules.base import Method

# Where several came before the boundary, to whichever rank, the one furthest right counts.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# One Ctrl-C may arrive twice, from the terminal and from a launcher that hands it on.
INSISTS_SECONDS = 1.0


class Interrupted(SystemExit):
    """The run ends because of ``signal``; the program exits with 128 + its number."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal = signal.Signals(signum)


class Signals(Callback):
    """Ends the run on all ranks when one of ``ENDING_SIGNALS`` came to any of them: after the step it is in, and a save.

    In the loop a signal sets a flag and nothing else. Elsewhere (setting up, the test stage) there is nothing to save,
    and the run ends at once. Another Ctrl-C later than a second after the first signal ends the process at once. Must be
    the last of the callbacks. Costs a run on several ranks an all-reduce of one byte a step. Whoever starts the trainer
    calls :meth:`restore` at the end: after an exception the trainer sets the handlers again that it found.
    """

    def __init__(self) -> None:
        self.received = 0  # the place in ENDING_SIGNALS, from 1; 0: none
        self.is_training = False
        self.restored: dict[int, Any] = {}  # signal -> the handler before ours
        self.pid = 0
        self.asked_at = math.inf  # when the first signal came

    def setup(self, trainer: Trainer, method: Method, stage: str) -> None:  # type: ignore[override]
        self.install()

    def on_test_start(self, *_: Any) -> None:
        self.install()

    def on_train_start(self, *_: Any) -> None:
        self.install()  # again, for the trainer has put its own around ours, and that one asks the other ranks at once
        self.is_training = True

    def install(self) -> None:
        if threading.current_thread() is not threading.main_thread():  # Python lets no other thread do it
            return
        self.pid = os.getpid()
        for signum in ENDING_SIGNALS:
            before = signal.signal(signum, self.handle)
            self.restored.setdefault(signum, before)

    def restore(self) -> None:
        """Set the handlers that were there before."""
        self.is_training = False
        for signum, handler in self.restored.items():
            signal.signal(signum, handler)
        self.restored = {}

    def handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:  # a data worker, forked with this handler: it ends with its rank
            return
        if signum == signal.SIGINT and time.monotonic() - self.asked_at > INSISTS_SECONDS:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(self.pid, signum)
        self.asked_at = min(self.asked_at, time.monotonic())
        is_first = self.received == 0
        self.received = max(self.received, 1 + ENDING_SIGNALS.index(signal.Signals(signum)))
        if is_first and not self.is_training:
            raise Interrupted(signum)

    def agreed(self, trainer: Trainer) -> int:
        """What any rank received; each must ask."""
        if trainer.world_size == 1:
            return self.received
        flag = torch.tensor([self.received], dtype=torch.uint8, device=trainer.strategy.root_device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return int(flag)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        # The last step is followed by the last measurement and save, which the run would otherwise miss.
        received = 0 if trainer.should_stop else self.agreed(trainer)
        if not received:
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpoints) and callback.saved_images != method.images_seen:
                callback.save_last(trainer, method)
        raise Interrupted(ENDING_SIGNALS[received - 1])

    def on_train_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.is_training = False
        received = self.agreed(trainer)
        if received:
            raise Interrupted(ENDING_SIGNALS[received - 1])
