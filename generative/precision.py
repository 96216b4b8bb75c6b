"""Losses and measurements in full float32, whatever precision the training around them runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` as losses and penalties take it: what a network in half precision says, in float32; float64 as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """No autocast and no TF32, neither in convolutions nor in matrix products; everything else stays as it is set."""
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.autocast(device_type, enabled=False),
            cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=cudnn.deterministic, allow_tf32=False),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
