"""An invertible generator of a few lines: images are sums of known waves, so what a search must find is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from generative.inversion.search import Point, space_with
from generative.randomness import Stream
from lightning_modules.base import Classifies, Invertible

FREQUENCIES = 4  # a side; each is a latent


class Waves(Invertible):
    """Latents [B, 16] weigh cosines [16, 8, 8]; the amplitudes of the cosines are what tuning moves."""

    space_names = ("code",)
    pivot_space = "code"

    def __init__(self) -> None:
        super().__init__(image_shape=(1, 8, 8), num_classes=0, seed=0)
        place = (torch.arange(8) + 0.5) * math.pi / 8
        waves = torch.stack([torch.cos(k * place) for k in range(1, FREQUENCIES + 1)])
        self.register_buffer("basis", 0.15 * torch.einsum("ah,bw->abhw", waves, waves).flatten(0, 1))
        self.amplitudes = nn.Parameter(torch.ones(FREQUENCIES**2), requires_grad=False)

    def latents(self, first: int, count: int, *, seed: int, stream: str = "evaluation") -> Tensor:
        return Stream(seed, stream).normal(first, count, FREQUENCIES**2)

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        return torch.einsum("bd,dhw->bhw", latents * self.amplitudes, self.basis)[:, None]

    def space(
        self,
        name: str,
        labels: Tensor | None = None,
        *,
        samples: Tensor,
        settings: Mapping[str, Any] | None = None,
    ) -> CodeSpace:
        return space_with(CodeSpace, settings, method=self)

    def tunable(self) -> list[nn.Parameter]:
        return [self.amplitudes]


class CodeSpace:
    name, rate, num_latents = "code", 0.1, 1

    def __init__(self, method: Waves) -> None:
        self.method = method

    def at(self, latents: Tensor) -> Point:
        return {"code": latents}

    def units(self) -> dict[str, Tensor]:
        return {"code": torch.ones(())}

    def draw(self, point: Point) -> Tensor:
        return self.method.decode(point["code"])


class FirstWave(Classifies):
    """Class 1 where an image holds the first wave with a positive weight, class 0 otherwise."""

    num_features = FREQUENCIES**2

    def __init__(self, image_shape: tuple[int, int, int] = (1, 8, 8)) -> None:
        super().__init__(image_shape=image_shape, num_classes=2, seed=0)
        self.register_buffer("basis", Waves().basis.flatten(1))

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.basis.T

    def classify(self, features: Tensor) -> Tensor:
        return torch.stack([-features[:, 0], features[:, 0]], dim=1)
