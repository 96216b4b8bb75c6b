"""What evaluation computes from weights alone, kept until a weight changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The last value of a function of some tensors. A tensor's version counts its changes in place.

    Where gradients are recorded nothing is kept: each graph needs a value of its own.
    """

    def __init__(self) -> None:
        self.key: Hashable = None
        self.value: Value | None = None

    def get(self, tensors: Sequence[Tensor], compute: Callable[[], Value], *, settings: Hashable = None) -> Value:
        if torch.is_grad_enabled() or any(tensor.is_inference() for tensor in tensors):
            self.key = self.value = None
            return compute()
        key = (settings, *((tensor.data_ptr(), tensor._version, tensor.device, tensor.dtype) for tensor in tensors))
        if self.key != key or self.value is None:
            self.key, self.value = key, compute()
        return self.value
