"""The spaces in which a Poly-INR's images are looked for (section 6.4.2): latents z, styles w, affine parameters A_i."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from generative.inversion.search import Point
from lightning_modules.poly_inr.networks import Generator


class GeneratorSpace(ABC):
    """A space of one ``generator`` at grid ``positions`` [H, W, 2], for a batch of images of the classes ``labels`` [B].

    ``samples`` [K, latent_dim], of the classes ``sample_labels``: the standard deviation that their numbers have in the
    space is the length in which an optimiser steps. ``rate``: of Adam in that length, the best of 0.01 to 0.1 on 12
    training images of Fashion-MNIST.
    """

    name: str
    rate: float
    num_latents = 1

    def __init__(
        self,
        generator: Generator,
        *,
        positions: Tensor,
        labels: Tensor | None,
        samples: Tensor,
        sample_labels: Tensor | None,
    ) -> None:
        self.generator, self.positions, self.labels = generator, positions, labels
        self.samples, self.sample_labels = samples, sample_labels

    @abstractmethod
    def of_latents(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Latents [B, latent_dim] of the classes ``labels`` [B] as points [B, ...]."""

    @abstractmethod
    def affine(self, point: Point) -> Tensor:
        """Affine parameters [B, levels, 3, n] of a point."""

    @torch.no_grad()
    def at(self, latents: Tensor) -> Point:
        return {self.name: self.of_latents(latents, self.labels)}

    @torch.no_grad()
    def units(self) -> dict[str, Tensor]:
        return {self.name: self.of_latents(self.samples, self.sample_labels).std()}

    def draw(self, point: Point) -> Tensor:
        return self.generator.render(self.affine(point), self.positions)


class LatentSpace(GeneratorSpace):
    """z [B, latent_dim]."""

    name, rate = "z", 0.1

    def of_latents(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return z

    def affine(self, point: Point) -> Tensor:
        return self.generator.affine(point["z"], self.labels)


class StyleSpace(GeneratorSpace):
    """w [B, w_dim], one for all levels."""

    name, rate = "w", 0.1

    def of_latents(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.generator.mapping(z, labels)

    def affine(self, point: Point) -> Tensor:
        return self.generator.heads(self.generator.broadcast(point["w"]))


class AffineSpace(GeneratorSpace):
    """A_i [B, levels, 3, n]. Its many numbers move an image further than the few of z at the same rate."""

    name, rate = "affine", 0.03

    def of_latents(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.generator.affine(z, labels)

    def units(self) -> dict[str, Tensor]:
        """One a level and row of A_i."""
        with torch.no_grad():
            points = self.of_latents(self.samples, self.sample_labels)
        return {self.name: points.std(dim=(0, 3), keepdim=True)}

    def affine(self, point: Point) -> Tensor:
        return point["affine"]


SPACES: dict[str, type[GeneratorSpace]] = {kind.name: kind for kind in (LatentSpace, StyleSpace, AffineSpace)}
