"""Where a PGGAN's images are looked for: one latent, many composed codes, or the features of a layer themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.search import Point
from lightning_modules.pggan.attention import attended, fan_in, first_weights
from lightning_modules.pggan.composition import composed, shares_of_codes
from lightning_modules.pggan.growth import Stage
from lightning_modules.pggan.networks import Generator

UNIT_OF_GAMMA = 0.1  # of self-attention's share, which starts at 0


class PGGANSpace:
    """A space of one ``generator``; ``samples`` [K, latent_dim] of its prior say in what length an optimiser steps.

    ``rate``: of Adam in that length, the best of some on training images of Fashion-MNIST.
    """

    name: str
    rate: float
    num_latents = 1

    def __init__(self, generator: Generator, *, samples: Tensor) -> None:
        self.generator, self.samples = generator, samples
        if generator.stage != Stage(generator.levels) and self.name != "z":
            raise ValueError(
                f"this generator has grown to {generator.stage.side} of {2 ** (generator.levels + 1)} pixels: only space z can be "
                "searched before it draws all of them"
            )


class LatentSpace(PGGANSpace):
    """z [B, latent_dim]: one code (section 4.2). Its length draws nothing, since the first norm takes it away."""

    name, rate = "z", 0.2

    def at(self, latents: Tensor) -> Point:
        return {"z": latents}

    def units(self) -> dict[str, Tensor]:
        return {"z": self.samples.std()}

    def draw(self, point: Point) -> Tensor:
        return self.generator(point["z"])


class CodeSpace(PGGANSpace):
    """``num_codes`` latents z [B, N, latent_dim], composed after ``layer`` blocks by their importance alpha [B, N, C].

    The images are G2(sum over n of alpha_n * G1(z_n)) (section 4.3). ``importance`` false holds every alpha at 1 / N, where
    it starts. ``attention`` changes the features before: its weights are part of the point. Neither z nor alpha is brought
    back to a length while they are searched for, though their lengths draw nothing.
    """

    name, rate = "codes", 0.1

    def __init__(
        self,
        generator: Generator,
        *,
        samples: Tensor,
        num_codes: int = 20,
        layer: int = 4,
        importance: bool = True,
        attention: str = "none",
    ) -> None:
        super().__init__(generator, samples=samples)
        check_at_least(1, num_codes=num_codes)
        self.num_latents, self.layer = num_codes, layer
        self.width = generator.width_at(layer)
        self.learns_importance, self.attention = importance, attention
        self.weights = {name: weight.to(samples) for name, weight in first_weights(attention, self.width).items()}

    def at(self, latents: Tensor) -> Point:
        codes = latents.reshape(len(latents), self.num_latents, -1)
        point = {"z": codes}
        if self.learns_importance:
            point["alpha"] = codes.new_full((len(codes), self.num_latents, self.width), 1.0 / self.num_latents)
        return point | {name: weight.expand(len(codes), *weight.shape) for name, weight in self.weights.items()}

    def units(self) -> dict[str, Tensor]:
        found = {"z": self.samples.std()}
        if self.learns_importance:
            found["alpha"] = self.samples.new_tensor(1.0 / self.num_latents)
        return found | {name: self.unit_of(name, weight) for name, weight in self.weights.items()}

    def unit_of(self, name: str, weight: Tensor) -> Tensor:
        """Of a weight of attention: the deviation that it, or the layer whose bias it is, starts with."""
        if name == "gamma":
            return self.samples.new_tensor(UNIT_OF_GAMMA)
        inputs = fan_in(name, weight.shape) if weight.ndim > 1 else self.width
        return self.samples.new_tensor(1.0 / math.sqrt(inputs))

    def features(self, point: Point) -> Tensor:
        """Of each code after attention: [B, N, C, H, W]."""
        codes = point["z"]
        found = self.generator.features(codes.flatten(0, 1), self.layer).unflatten(0, codes.shape[:2])
        return attended(found, point, attention=self.attention)

    def importance(self, point: Point) -> Tensor:
        codes = point["z"]
        if self.learns_importance:
            return point["alpha"]
        return codes.new_full((*codes.shape[:2], self.width), 1.0 / self.num_latents)

    def draw(self, point: Point) -> Tensor:
        return self.generator.image(composed(self.features(point), self.importance(point)), self.layer)

    @torch.no_grad()
    def shares(self, point: Point) -> Tensor:
        """How much each code draws at each place of the layer: [B, N, H, W], of sum 1 over codes."""
        return shares_of_codes(self.features(point), self.importance(point))

    @torch.no_grad()
    def alone(self, point: Point) -> Tensor:
        """G2(alpha_n * G1(z_n)) of each code: [B, N, C, H, W]."""
        parts = self.features(point) * self.importance(point)[..., None, None]
        return torch.stack([self.generator.image(part, self.layer) for part in parts.unbind(dim=1)], dim=1)


class FeatureSpace(PGGANSpace):
    """The features after ``layer`` blocks themselves, [B, C, H, W]: what a search reaches without codes, and without a prior."""

    name, rate = "features", 0.1

    def __init__(self, generator: Generator, *, samples: Tensor, layer: int = 4) -> None:
        super().__init__(generator, samples=samples)
        generator.width_at(layer)
        self.layer = layer

    @torch.no_grad()
    def at(self, latents: Tensor) -> Point:
        return {"features": self.generator.features(latents, self.layer)}

    @torch.no_grad()
    def units(self) -> dict[str, Tensor]:
        """One a channel."""
        return {"features": self.generator.features(self.samples, self.layer).std(dim=(0, 2, 3)).view(-1, 1, 1)}

    def draw(self, point: Point) -> Tensor:
        return self.generator.image(point["features"], self.layer)


Space = LatentSpace | CodeSpace | FeatureSpace
SPACES: dict[str, Callable[..., Space]] = {kind.name: kind for kind in (LatentSpace, CodeSpace, FeatureSpace)}
