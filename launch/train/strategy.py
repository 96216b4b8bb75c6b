"""Several ranks as one: the same weights on all of them, gradients averaged before each optimiser's step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

MIXED = "16-mixed"
# Weights and their averages are float32 at least: in half precision an average's small steps would be rounded away.
PRECISIONS = ("32-true", "64-true", "bf16-mixed", MIXED)


def check_trainer(trainer: Trainer, settings: dict[str, Any]) -> None:
    """ValueError where ``trainer`` would train in another way than its ``settings`` say."""
    if trainer.world_size > 1 and settings.get("strategy", "auto") == "auto":
        raise ValueError("several devices or nodes need a strategy of their own: choose trainer=ddp")
    precision = settings.get("precision", PRECISIONS[0])
    if precision not in PRECISIONS:
        raise ValueError(f"trainer.precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == MIXED and trainer.strategy.root_device.type == "cpu":
        raise ValueError(f"trainer.precision={MIXED} needs a GPU: choose bf16-mixed to train on the CPU")
    if precision == "bf16-mixed" and trainer.strategy.root_device.type == "cpu" and not multiplies_bfloat16():
        rank_zero_warn(
            "this processor has no fast bfloat16, and trainer.precision=bf16-mixed may train ten times slower than "
            "trainer.precision=32-true: leave it out, or set it to that"
        )


def multiplies_bfloat16() -> bool:
    """Whether the processor's kernels for convolutions and products take bfloat16 as it is (AVX-512, AMX and their like)."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def buckets(parameters: Iterable[nn.Parameter], max_bytes: int) -> Iterator[list[nn.Parameter]]:
    """``parameters`` in order, cut where the type or device changes and before more than ``max_bytes`` come together."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        alike = bucket and (parameter.dtype, parameter.device) == (bucket[0].dtype, bucket[0].device)
        if bucket and (not alike or size + parameter.nbytes > max_bytes):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.nbytes
    if bucket:
        yield bucket


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter], *, bucket_bytes: int) -> None:
    """Replace each gradient by its mean over all ranks. What no rank has a gradient for is left without one.

    A rank that lacks a gradient which another has counts as zeros. What is exchanged depends on the parameters alone,
    never on the gradients there are, so ranks cannot get out of step.
    """
    for bucket in buckets(parameters, bucket_bytes):
        gradients = [parameter.grad for parameter in bucket]
        has_one = torch.tensor([g is not None for g in gradients], dtype=bucket[0].dtype, device=bucket[0].device)
        rows = [
            (torch.zeros_like(parameter) if gradient is None else gradient).reshape(-1)
            for parameter, gradient in zip(bucket, gradients, strict=True)
        ]
        flat = torch.cat([*rows, has_one])
        dist.all_reduce(flat)
        *sums, num_with = flat.split([*(len(row) for row in rows), len(bucket)])
        means = [total.div_(dist.get_world_size()).view_as(p) for total, p in zip(sums, bucket, strict=True)]
        present = [(g, mean) for g, mean in zip(gradients, means, strict=True) if g is not None]
        if present:
            torch._foreach_copy_([g for g, _ in present], [mean for _, mean in present])
        if len(present) < len(bucket):  # only here the host waits for the exchange
            for parameter, gradient, mean, ranks in zip(bucket, gradients, means, num_with.tolist(), strict=True):
                if gradient is None and ranks > 0:
                    parameter.grad = mean.clone()


def share_batch_statistics(module: nn.Module, device: torch.device) -> None:
    """Let the batch norms of ``module`` see the images of all ranks; ValueError on CPUs, where they cannot."""
    own = [n for n, layer in module.named_modules() if isinstance(layer, _BatchNorm) and layer.training]
    if own and device.type == "cpu":
        config = getattr(module, "run_config", {}).get("method", {})
        settings = " ".join(f"{path}=group" for path in batch_norm_settings(config, "method"))
        raise ValueError(
            f"batch normalisation over several ranks needs GPUs, and {own[0]} is one: to train on CPU ranks choose "
            f"another normalisation: {settings or 'group norm'}"
        )
    # Keeps the parameters, the buffers and their names.
    nn.SyncBatchNorm.convert_sync_batchnorm(module)


def batch_norm_settings(config: dict[str, Any], path: str) -> Iterator[str]:
    """The dotted places below ``path`` where a configuration asks for batch norm."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from batch_norm_settings(value, f"{path}.{key}")
        elif key == "normalization" and value == "batch":
            yield f"{path}.{key}"


class AveragedGradients(DDPStrategy):
    """Data-parallel training that averages the gradients of an optimiser over all ranks just before its step.

    Nothing is wrapped around the method. So it does not matter which parameters a backward pass reaches, how often,
    or through which derivatives: alternating updates, gradient penalties and accumulated parts of a batch cost one
    exchange a step each. Averages, penalties and guards after it see what one rank with the whole batch would see.

    ``timeout_seconds``: how long a rank waits for the others before it gives up. ``bucket_megabytes``: of gradients
    that travel together, and of the memory beside them.
    """

    def __init__(self, *, timeout_seconds: float = 1800.0, bucket_megabytes: float = 64.0) -> None:
        for name, value in {"timeout_seconds": timeout_seconds, "bucket_megabytes": bucket_megabytes}.items():
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        super().__init__(timeout=timedelta(seconds=timeout_seconds))
        self.bucket_bytes = round(bucket_megabytes * 2**20)

    def configure_ddp(self) -> None:
        """In place of the wrapper: all ranks start from the weights of the first."""
        assert self.model is not None
        if self.world_size == 1:
            return
        share_batch_statistics(self.model, self.root_device)
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            dist.broadcast(tensor.detach(), src=0)

    def optimizer_step(
        self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any
    ) -> Tensor | None:
        """After the closure, which may compute gradients, and before a scaler's, a callback's or a clipping's turn."""

        def averaged() -> Any:
            result = closure()
            if self.world_size > 1:
                parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
                average_gradients(parameters, bucket_bytes=self.bucket_bytes)
            return result

        return super().optimizer_step(optimizer, averaged, model, **kwargs)
