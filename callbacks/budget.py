"""When a run ends: after its images, or at the first value that is not a number."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch.optim import Optimizer

from lightning_modules.base import Method


class ImageBudget(Callback):
    """Stops after ``max_kimg`` thousand images, counted over all ranks and all resumptions."""

    def __init__(self, *, max_kimg: float) -> None:
        if max_kimg <= 0:
            raise ValueError(f"max_kimg must be positive, got {max_kimg}")
        self.max_images = round(max_kimg * 1000)

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        trainer.should_stop = trainer.should_stop or method.images_seen >= self.max_images


class NonFiniteError(ValueError):
    """A loss, penalty or score is NaN or infinite: the weights are lost, the last checkpoint is not."""


class NonFiniteGuard(Callback):
    """Ends the run on all ranks at the first gradient or recorded value that is NaN or infinite.

    Gradients are looked at before the optimiser takes them, so the weights stay good; the recorded losses, penalties
    and scores at the end of the step, before the callbacks after this one save anything. A scaler of float16 skips
    such gradients and lowers its factor; here they count once its factor cannot be their cause.
    """

    def on_before_optimizer_step(self, trainer: Trainer, method: Method, optimizer: Optimizer) -> None:  # type: ignore[override]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None and scaler.get_scale() > 1.0:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        # Norms of whole tensors: one pass, one number to wait for. All ranks hold the same, averaged gradients.
        if gradients and not bool(torch.isfinite(torch.stack(torch._foreach_norm(gradients)).sum())):
            own = {id(p): name for name, p in method.named_parameters()}
            bad = [
                own[id(p)]
                for group in optimizer.param_groups
                for p in group["params"]
                if p.grad is not None and not bool(torch.isfinite(p.grad).all())
            ]
            raise NonFiniteError(
                self.message(method, f"the gradient of {bad[0] if bad else 'a parameter'} is not finite")
            )

    @staticmethod
    def message(method: Method, what: str) -> str:
        return (
            f"{what} after {method.images_seen / 1000:g} kimg: the last checkpoint is good; continue it with resume=auto and "
            "lower learning rates or a stronger penalty"
        )

    def on_train_batch_end(self, trainer: Trainer, method: Method, *_: Any) -> None:  # type: ignore[override]
        bad = {name: float(value) for name, value in method.losses.items() if not math.isfinite(float(value))}
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(not bad, all=True) is False:
            bad = bad or {"a loss on another rank": math.nan}
        if bad:
            names = ", ".join(f"{name} = {value}" for name, value in bad.items())
            step = round(method.images_seen / (method.images_seen - method.images_seen_before))
            raise NonFiniteError(self.message(method, f"{names} at step {step}"))
