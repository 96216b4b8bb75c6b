"""What every recipe around PGGAN's generator shares: how it draws, and where its images are looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from generative.averaging import averaged_copy
from generative.inversion.search import settings_of, space_with
from lightning_modules.base import Invertible
from lightning_modules.pggan.networks import Generator
from lightning_modules.pggan.spaces import SPACES, CodeSpace, Space

GIVEN = ("generator", "samples")  # to every space; what else it takes is a user's setting


class DrawsByPGGAN(Invertible):
    """It draws by the average of ``generator``, without classes."""

    space_names = tuple(SPACES)
    pivot_space = "z"
    shared_space = CodeSpace.name
    norms_setting = "+method.generator.normalize_latents=false"

    def __init__(self, *, num_classes: int, generator: Callable[..., Generator], **given: Any) -> None:
        super().__init__(num_classes=0, **given)
        self.generator = generator(image_shape=self.image_shape)
        self.averaged_generator = averaged_copy(self.generator)
        self.latent_dim = self.generator.latent_dim

    @property
    def keeps_norms(self) -> bool:  # type: ignore[override] # of most generators a constant
        return not self.generator.normalize_latents

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        return self.averaged_generator(latents)

    def space(
        self,
        name: str,
        labels: Tensor | None = None,
        *,
        samples: Tensor,
        settings: Mapping[str, Any] | None = None,
    ) -> Space:
        return space_with(SPACES[name], settings, generator=self.averaged_generator, samples=samples)

    def space_settings(self, name: str) -> Sequence[str]:
        return settings_of(SPACES[name], *GIVEN)

    def tunable(self) -> list[nn.Parameter]:
        return list(self.averaged_generator.parameters())
