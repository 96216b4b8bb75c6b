"""Latents of the generator: a table of them, an encoder, the laws that they are drawn by, and the search for one of a new image."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from generative.checks import check_at_least
from generative.latents.subspaces import NormalMixture, fitted_mixture
from generative.precision import at_least_float32
from generative.randomness import Stream
from generative.rendering.images import as_floats
from lightning_modules.dfm.hyper import perceptron

FIRST_DEVIATION = 0.05  # of a latent of the table at first
SMALLER = 0.1  # an encoder's last layer at first, of He's: latents of about FIRST_DEVIATION, at which all images share one network
AT_ONCE = 256  # images that are encoded together
MOST_FITTED = 10_000  # latents that a law is fitted to: of more, as many at equal distances
GAUSSIAN = "gaussian"


class Latents(nn.Module, ABC):
    """What says the latents of training images: ``latent_dim`` numbers for each, of images of ``image_shape``."""

    is_table: ClassVar[bool]  # of rows, of which a step moves those of its batch; else it takes the images

    def __init__(self, *, image_shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        check_at_least(1, latent_dim=latent_dim)
        self.image_shape, self.latent_dim = image_shape, latent_dim

    @abstractmethod
    def forward(self, index: Tensor, images: Tensor) -> Tensor:
        """Numbers in the training split [B] and the images [B, C, H, W] in [-1, 1] -> latents [B, latent_dim]."""

    @abstractmethod
    def of_training(self, images: Tensor | None) -> Tensor:
        """The latents [N, latent_dim] of all training images [N, C, H, W], which a table does not look at."""


class LatentTable(Latents):
    """A row for each of the ``num_images`` training images (thesis, algorithm 2), normal of ``deviation`` at first."""

    is_table = True

    def __init__(self, *, num_images: int, deviation: float = FIRST_DEVIATION, **given: Any) -> None:
        super().__init__(**given)
        check_at_least(1, num_images=num_images)
        check_at_least(0, deviation=deviation)
        self.rows = nn.Parameter(deviation * torch.randn(num_images, self.latent_dim))

    def forward(self, index: Tensor, images: Tensor) -> Tensor:
        return self.rows[index]

    def of_training(self, images: Tensor | None) -> Tensor:
        return self.rows.detach()

    def check_number(self, found: int, *, name: str) -> None:
        """ValueError unless the table has a row for each of the ``found`` training images of the set ``name``."""
        if found != len(self.rows):
            raise ValueError(
                f"the table has latents of {len(self.rows)} images, and {name} trains on {found}: set "
                f"method.latents.num_images={found}"
            )


class ImageEncoder(Latents):
    """A perceptron of the pixels with layers of ``widths`` between both ends (thesis, algorithm 3)."""

    is_table = False

    def __init__(self, *, widths: list[int], activation: str = "silu", **given: Any) -> None:
        super().__init__(**given)
        check_at_least(1, **{f"widths[{place}]": width for place, width in enumerate(widths)})
        self.layers = perceptron([math.prod(self.image_shape), *widths, self.latent_dim], activation)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(SMALLER)

    def forward(self, index: Tensor, images: Tensor) -> Tensor:
        return self.encode(images)

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1] -> latents [B, latent_dim]."""
        return at_least_float32(self.layers(images.flatten(1)))

    @torch.no_grad()
    def of_training(self, images: Tensor | None) -> Tensor:
        assert images is not None
        weight = next(self.parameters())
        parts = (as_floats(images[first : first + AT_ONCE]) for first in range(0, len(images), AT_ONCE))
        return torch.cat([self.encode(part.to(weight)) for part in parts])


class LatentLaws(nn.Module):
    """Laws fitted to latents: one Gaussian, and a mixture of ``components`` of them, all with full covariances.

    Of each class its own, where there are classes (``num_classes`` above 0). They travel with the weights, as buffers, with
    the number of images that had been seen when they were fitted, ``fitted_at``, -1 before. The mixture is what section 6.2
    of the thesis leaves for later.
    """

    fitted_at: Tensor

    def __init__(self, *, num_classes: int, latent_dim: int, components: int) -> None:
        super().__init__()
        check_at_least(1, components=components)
        self.num_classes = num_classes
        self.components = {GAUSSIAN: 1, f"mixture_{components}": components}
        for name, count in self.components.items():
            groups = (max(num_classes, 1), count)
            self.register_buffer(f"{name}_shares", torch.zeros(groups))
            self.register_buffer(f"{name}_means", torch.zeros(*groups, latent_dim))
            self.register_buffer(f"{name}_factors", torch.zeros(*groups, latent_dim, latent_dim))
        self.register_buffer("fitted_at", torch.tensor(-1))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.components)

    def parts(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Shares [classes, K], means [classes, K, D] and factors [classes, K, D, D] of the law called so."""
        shares, means, factors = (getattr(self, f"{name}_{part}") for part in ("shares", "means", "factors"))
        return shares, means, factors

    @torch.no_grad()
    def fit(self, latents: Tensor, labels: Tensor | None, *, images_seen: int) -> None:
        """Fit every law to latents [N, D] of the classes ``labels`` [N]; ValueError for a class with too few of them."""
        for place in range(max(self.num_classes, 1)):
            own = latents if labels is None or not self.num_classes else latents[labels == place]
            for name, count in self.components.items():
                if len(own) < max(count, 2):
                    raise ValueError(
                        f"{name} has {count} components, and {len(own)} latents{f' of class {place}' if self.num_classes else ''} "
                        "to fit them to: set method.components lower, or train on more images"
                    )
                fitted = law_of(own, count)
                for kept, value in zip(self.parts(name), (fitted.shares, fitted.means, fitted.factors), strict=True):
                    kept[place].copy_(value)
        self.fitted_at.fill_(images_seen)

    def draw(self, name: str, numbers: Sequence[int], labels: Tensor | None, stream: Stream) -> Tensor:
        """Latents of these ``numbers`` of a stream by the law ``name``, of the classes ``labels`` [B]: float64 [B, D]."""
        parts = [part.double().cpu() for part in self.parts(name)]
        laws = [NormalMixture(*(part[place] for part in parts)) for place in range(max(self.num_classes, 1))]
        chosen = [0] * len(numbers) if labels is None else labels.tolist()
        return torch.stack([laws[place](number, stream) for number, place in zip(numbers, chosen, strict=True)])


def law_of(latents: Tensor, components: int) -> NormalMixture:
    """The mixture of so many components of latents [N, D], of up to :data:`MOST_FITTED` of them."""
    points = latents.double().cpu()[:: -(-len(latents) // MOST_FITTED)]
    scale = (points - points.mean(dim=0)).square().mean().sqrt()
    if scale == 0:
        raise ValueError(
            "all latents are the same, and no law can be fitted to them: train on, or with a smaller weight"
        )
    return fitted_mixture(points, components, scale=scale)


def found_latents(loss: Callable[[Tensor], Tensor], starts: Tensor, *, steps: int, rate: float) -> Tensor:
    """Latents [B, D] that have a smaller ``loss`` [B] than ``starts`` [B, D]: so many steps of Adam, whose rate falls to 0.

    Each image's search is its own, whatever others are searched for with it.
    """
    with torch.inference_mode(False), torch.enable_grad():
        z = starts.clone().requires_grad_()
        optimizer = torch.optim.Adam([z], lr=rate)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * (1.0 - step / steps)
            (z.grad,) = torch.autograd.grad(loss(z).sum(), [z])
            optimizer.step()
    return z.detach()
