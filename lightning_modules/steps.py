"""What the steps of all methods have in common: parts of a batch, values to log, clipping, precision."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer


class ManualSteps(LightningModule):
    """Manual optimisation.

    ``accumulate``: equal parts (:func:`generative.accumulation.parts`) that a step takes a rank's images in, for less
    memory and the same weights. ``clip_norm``: largest norm of an optimiser's gradients taken together; 0: no limit.
    """

    def __init__(self, *, accumulate: int, clip_norm: float) -> None:
        super().__init__()
        if accumulate < 1:
            raise ValueError(f"accumulate must be at least 1, got {accumulate}")
        if clip_norm < 0:
            raise ValueError(f"clip_norm must be at least 0, got {clip_norm}")
        self.automatic_optimization = False
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.losses: dict[str, Tensor] = {}  # of the last step: "loss/...", "penalty/...", "score/..."
        self.recorded: dict[str, list[Tensor]] = {}  # of the parts of this one, so far

    def configure_model(self) -> None:
        """Take the run's precision before a checkpoint's weights come in, or they would be rounded to another."""
        self.trainer.strategy.precision_plugin.convert_module(self)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Outside autocast: each derivative in the type of its forward pass, where autocast would round it again."""
        with torch.autocast(self.device.type, enabled=False):
            super().manual_backward(loss, *args, **kwargs)

    def record(self, losses: dict[str, Tensor]) -> None:
        """Keep named means over a part of the batch, detached, for the callbacks that log and guard them."""
        for name, value in losses.items():
            self.recorded.setdefault(name, []).append(value.detach())

    def close_record(self) -> None:
        """At the end of a step: its ``losses`` are the means over its parts."""
        self.losses = {name: torch.stack(values).mean() for name, values in sorted(self.recorded.items())}
        self.recorded = {}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradients, by now averaged over the ranks and free of a scaler's factor."""
        if self.clip_norm == 0:
            return
        names = {id(parameter): name for name, parameter in self.named_parameters()}
        own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = get_total_norm([parameter.grad for parameter in own if parameter.grad is not None])
        if norm.isfinite():  # else a scaler skips this step
            self.record({f"score/gradient_norm_{names[id(own[0])].split('.')[0]}": norm})
            self.clip_gradients(optimizer, gradient_clip_val=self.clip_norm, gradient_clip_algorithm="norm")
