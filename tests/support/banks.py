"""A method that draws from a bank and whose images are its latents, so that what must come out is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from lightning_modules.regene.drawing import DrawsFromBank

NUM_CLASSES = 2


class Identity(DrawsFromBank):
    """Latents [B, 4] are images [B, 1, 2, 2]; the first number above 0 says class 1, the more the surer.

    ``side``: that of larger images.
    """

    state = 0  # of the encoder, which a test may move

    joint: float | None = None

    def __init__(self, *, side: int = 2, **given: Any) -> None:
        super().__init__(image_shape=(1, side, side), num_classes=NUM_CLASSES, seed=0, **given)
        self.num_features = side**2
        self.classified = 0

    @property
    def encoder_state(self) -> int:
        return self.state

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def classify(self, features: Tensor) -> Tensor:
        self.classified += len(features)
        return torch.stack([-features[:, 0], features[:, 0]], dim=1)

    def draw_latents(self, latents: Tensor) -> Tensor:
        return latents.unflatten(1, self.image_shape)


class Shrinking(Identity):
    """Images [B, 1, 3, 3], and a decoder that loses something: it draws latents times ``shrinks``."""

    ssim_window = 3

    def __init__(self, *, shrinks: float = 0.5, **given: Any) -> None:
        super().__init__(side=3, **given)
        self.shrinks = shrinks

    def draw_latents(self, latents: Tensor) -> Tensor:
        return self.shrinks * super().draw_latents(latents)

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.draw_latents(self.features(images))


class Data:
    """Images of two classes whose first number is their confidence; some of them on the wrong side."""

    holds_out = True

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        images = torch.randn(40, 1, 2, 2, generator=torch.Generator().manual_seed(len(name)))
        labels = torch.arange(40) % 2
        sides = (2.0 * labels - 1.0) * images[:, 0, 0, 0].abs()
        sides[:4] *= -1.0  # wrong
        images[:, 0, 0, 0] = sides
        return images, labels


class SmallData(Data):
    """60 images [1, 3, 3] in [-1, 1] of two classes, the first number of which is below 0 in class 0."""

    name = "made up"

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        images = torch.rand(60, 1, 3, 3, generator=torch.Generator().manual_seed(len(name))) * 1.8 - 0.9
        labels = torch.arange(60) % 2
        images[:, 0, 0, 0] = (2.0 * labels - 1.0) * images[:, 0, 0, 0].abs()
        return images, labels


def shrinking(data: Any = None, **given: Any) -> Shrinking:
    made = Shrinking(**given)
    made._trainer = SimpleNamespace(datamodule=data or SmallData())  # type: ignore[assignment]
    return made


def identity(data: Any = None, **given: Any) -> Identity:
    made = Identity(**given)
    made._trainer = SimpleNamespace(datamodule=data or Data())  # type: ignore[assignment]
    return made
