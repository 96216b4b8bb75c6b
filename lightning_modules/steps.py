"""What the steps of all methods have in common: the update of a network, averages, rates, values to log, precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from generative.accumulation import parts
from generative.averaging import average_decay, update_average

AVERAGED = "averaged_"  # what the names of averages begin with
Objective = Callable[[dict[str, Any]], Tensor]  # a part of a batch -> the mean loss over its images


class ManualSteps(LightningModule):
    """Manual optimisation: a training step says which network learns from what, in which order, by :meth:`update`.

    ``accumulate``: equal parts (:func:`generative.accumulation.parts`) that a step takes a rank's images in, for less
    memory and the same weights. ``clip_norm``: largest norm of an optimiser's gradients taken together; 0: no limit.
    ``self.averaged_<name>`` is the moving average of ``self.<name>``, with the half-life of ``half_life_images``, early on
    at most ``average_ramp_up`` of the images seen.
    """

    images_seen: int

    def __init__(
        self,
        *,
        accumulate: int = 1,
        clip_norm: float = 0.0,
        half_life_images: float = 20_000,
        average_ramp_up: float = 0.05,
    ) -> None:
        super().__init__()
        if accumulate < 1:
            raise ValueError(f"accumulate must be at least 1, got {accumulate}")
        if clip_norm < 0:
            raise ValueError(f"clip_norm must be at least 0, got {clip_norm}")
        self.automatic_optimization = False
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.half_life_images = half_life_images
        self.average_ramp_up = average_ramp_up
        self.losses: dict[str, Tensor] = {}  # of the last step: "loss/...", "penalty/...", "score/..."
        self.recorded: dict[str, list[Tensor]] = {}  # of the parts of this one, so far
        self.global_batch = 0  # images of this step, over all ranks

    def configure_model(self) -> None:
        """Take the run's precision before a checkpoint's weights come in, or they would be rounded to another."""
        self.trainer.strategy.precision_plugin.convert_module(self)

    def on_train_batch_start(self, batch: dict[str, Any], batch_index: int) -> None:
        self.global_batch = len(batch["image"]) * self.trainer.world_size

    def train(self, mode: bool = True) -> ManualSteps:
        """Averages never train: they would take the statistics of the batch before them for those of the data."""
        super().train(mode)
        for _, average in self.averages():
            average.eval()
        return self

    def averages(self) -> list[tuple[nn.Module, nn.Module]]:
        """Each network that has a moving average, and the average."""
        return [
            (getattr(self, name.removeprefix(AVERAGED)), module)
            for name, module in self.named_children()
            if name.startswith(AVERAGED)
        ]

    def update(self, optimizer: LightningOptimizer, objective: Objective, batch: dict[str, Any]) -> None:
        """One step of ``optimizer`` down the mean of ``objective`` over the batch of all ranks; nothing else gets a gradient.

        The gradients of the parts of a rank's ``batch`` add up to those of the whole; the strategy averages them over the
        ranks, and :meth:`on_before_optimizer_step` clips them.
        """
        with self.toggled_optimizer(optimizer):
            optimizer.zero_grad()
            for part in parts(batch, self.accumulate):
                self.manual_backward(objective(part) / self.accumulate)
            optimizer.step()

    def move_average(self) -> None:
        """Move every average towards its network by this step's images, before they are counted."""
        for network, average in self.averages():
            decay = average_decay(
                self.global_batch,
                half_life_images=self.half_life_images,
                images_seen=self.images_seen,
                ramp_up=self.average_ramp_up,
            )
            update_average(average, network, decay)

    def set_rates(self, factor: float) -> None:
        """Every optimiser's learning rate: ``factor`` times that of its configuration.

        To be a function of the images seen, so that a resumed run is on it at once.
        """
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = optimizer.defaults["lr"] * factor

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
