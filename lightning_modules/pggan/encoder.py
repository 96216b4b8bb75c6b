"""An encoder for a trained PGGAN: images, whole or with holes, to the latents that draw them, in one pass (chapter 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from generative.averaging import averaged_copy
from generative.checks import check_at_least
from generative.perceptual import deep_feature_distance
from generative.precision import at_least_float32
from generative.randomness import Stream
from lightning_modules.base import Reconstructs
from lightning_modules.pggan.drawing import DrawsByPGGAN
from lightning_modules.pggan.layers import pixel_norm
from lightning_modules.pggan.networks import Critic
from lightning_modules.weights import Weights

KNOWN_SHARE = 0.5  # of the images, which the encoder sees whole
SQUARES = 4  # a side of the grid by whose squares images have holes while it trains


class PGGANEncoder(DrawsByPGGAN, Reconstructs):
    """Trains ``encoder`` to invert a ``generator`` that stays as it is: ``weights`` are the last.ckpt of a run of pggan.

    E sees an image with its hidden pixels at 0 and, in one more channel, which are known. It learns from samples, whose
    latents are known, |z / rms z - E / rms E|^2, and from images, ``pixel_weight`` times the squared error of G(E(x)) over
    all pixels and ``feature_weight`` times its distance in the features of the run's ``critic``, which stays as it is too.
    Half of the images, by chance, are hidden in squares of a grid, of which each is known by chance.
    """

    weights_source = "a run of method=pggan"
    encodes = True

    def __init__(
        self,
        *,
        encoder: Callable[..., Critic],
        optimizer: Callable[..., Optimizer],
        pixel_weight: float = 1.0,
        critic: Callable[..., Critic] | None = None,
        feature_weight: float = 0.0,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        check_at_least(0, pixel_weight=pixel_weight, feature_weight=feature_weight)
        self.generator.requires_grad_(False)
        channels, *size = self.image_shape
        self.encoder = encoder(image_shape=(channels + 1, *size), group_size=0, num_outputs=self.latent_dim)
        self.averaged_encoder = averaged_copy(self.encoder)
        self.make_optimizer = optimizer
        self.pixel_weight = pixel_weight
        self.feature_weight = feature_weight
        if feature_weight > 0:
            if critic is None:
                raise ValueError(f"feature_weight={feature_weight:g} takes features of a critic: give that of the run")
            self.critic = critic(image_shape=self.image_shape).requires_grad_(False)

    def take_weights(self, weights: Weights) -> None:
        """ValueError where the features are to be those of a critic that the run does not have."""
        if self.feature_weight > 0 and not weights.of("critic"):
            raise ValueError(
                f"{weights.path} holds no critic for feature_weight={self.feature_weight:g}: give the last.ckpt of "
                f"{self.weights_source}, or leave the features out: method.feature_weight=0"
            )
        super().take_weights(weights)

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer(self.encoder.parameters())

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        # 1. The encoder learns to find latents again, and to draw images by them, 2. its average follows.
        self.update(self.optimizers(), self.objective, batch)  # type: ignore[arg-type]
        self.move_average()
        self.count_images(batch["image"])

    def objective(self, part: dict[str, Any]) -> Tensor:
        known = self.known_pixels(part)
        z = self.training_latents(part)
        with torch.no_grad():
            samples = self.averaged_generator(z)
        found = self.encoder(with_known(samples, known))
        code = (pixel_norm(at_least_float32(z)) - pixel_norm(at_least_float32(found))).square().mean()
        again = self.averaged_generator(self.encoder(with_known(part["image"], known)))
        pixels = (at_least_float32(again) - part["image"]).square().mean()
        self.record({"loss/code": code, "loss/pixels": pixels})
        loss = code + self.pixel_weight * pixels
        if self.feature_weight > 0:
            features = self.distance_of_features(again, part["image"])
            self.record({"loss/features": features})
            loss = loss + self.feature_weight * features
        return loss

    def distance_of_features(self, images: Tensor, originals: Tensor) -> Tensor:
        """Of pairs [B, C, H, W], in the critic's features at all sizes: the mean over pairs.

        The generator's own critic knows what its images are made of, where a network for photos does not (the feature matching
        of deep generative prior, Pan et al. 2020). Features are brought to unit length, so that the critic's scale does not
        matter.
        """
        with torch.no_grad():
            wanted = [at_least_float32(h) for h in self.critic.trunk(originals)]
        found = [at_least_float32(h) for h in self.critic.trunk(images)]
        return deep_feature_distance(found, wanted).mean()

    def known_pixels(self, part: dict[str, Any]) -> Tensor:
        """Of each image [B, 1, H, W], a function of its number: all, or the squares of a grid that chance leaves."""
        first, count = part["first_number"], len(part["image"])
        stream = Stream(self.seed, "holes of the encoder")
        whole = stream.branch("whole").uniform(first, count, 1, 1, 1) < KNOWN_SHARE
        shares = stream.branch("share").uniform(first, count, 1, 1, 1)
        squares = stream.uniform(first, count, 1, SQUARES, SQUARES) >= 0.6 * shares
        _, height, width = self.image_shape
        grown = squares.repeat_interleave(height // SQUARES, dim=2).repeat_interleave(width // SQUARES, dim=3)
        return (whole | grown).to(part["image"].device)

    @torch.no_grad()
    def encode(self, images: Tensor, known: Tensor | None = None) -> Tensor:
        if known is None:
            known = torch.ones_like(images[:, :1], dtype=torch.bool)
        found: Tensor = pixel_norm(self.averaged_encoder(with_known(images, known)))
        return found

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(images))


def with_known(images: Tensor, known: Tensor) -> Tensor:
    """Images [B, C, H, W] with hidden pixels at 0, and which are ``known`` [B, 1, H, W] as one more channel, 1 or 0."""
    return torch.cat([torch.where(known, images, 0.0), known.to(images)], dim=1)
