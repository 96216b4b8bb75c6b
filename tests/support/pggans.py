"""A PGGAN of a few weights, which nobody trained."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from lightning_modules.pggan.module import PGGAN
from lightning_modules.pggan.networks import Critic, Generator

SIZE: dict[str, Any] = {"base": 64, "most": 8}


def small_pggan(**settings: Any) -> PGGAN:
    """Of 8 x 8 grey pixels, as the digits have."""
    torch.manual_seed(0)
    given: dict[str, Any] = {"image_shape": (1, 8, 8), "num_classes": 0, "seed": 0}
    return PGGAN(
        generator=partial(Generator, latent_dim=4, **SIZE),
        critic=partial(Critic, **SIZE),
        generator_optimizer=torch.optim.Adam,
        critic_optimizer=torch.optim.Adam,
        **(given | settings),
    ).eval()
