"""How a class enters a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def one_hot(labels: Tensor | None, *, num_classes: int, like: Tensor) -> Tensor:
    """Labels [B] -> [B, num_classes] of the type of ``like``; ValueError where there are none."""
    if labels is None:
        raise ValueError(f"this network is conditional: give a label below {num_classes} for each image")
    return F.one_hot(labels, num_classes).to(like.dtype)
