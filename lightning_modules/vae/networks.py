"""Both halves of a variational autoencoder around a body that knows nothing of it: q(z | x, c), and the image of (z, c).

A class c enters as one of ``num_classes`` numbers that is 1, beside what a linear layer takes; 0 classes: there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.networks.convolutional_autoencoder import SLOPE, Decoder, Encoder, keras_start
from generative.networks.labels import one_hot
from generative.precision import at_least_float32
from lightning_modules.vae.bound import Posterior


class PosteriorNetwork(nn.Module):
    """Images [B, C, S, S] in [-1, 1] and classes [B] -> q(z | x, c) of ``latent_dim`` units, in float32 at least.

    The linear layer on the last map of ``body`` says means and log-variances. Those of a class are shifted by numbers of its
    own, 0 at first: what a class says as one more input of that layer.
    """

    def __init__(self, body: Callable[..., Encoder], *, image_channels: int, num_classes: int, latent_dim: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.body = body(image_channels=image_channels, num_classes=2 * latent_dim)
        if num_classes:
            self.of_class = nn.Linear(num_classes, 2 * latent_dim, bias=False)
            nn.init.zeros_(self.of_class.weight)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Posterior:
        numbers = self.body(images)
        if self.num_classes:
            numbers = numbers + self.of_class(one_hot(labels, num_classes=self.num_classes, like=images))
        return Posterior(*at_least_float32(numbers).chunk(2, dim=1))


class ClassDecoder(nn.Module):
    """Latents [B, latent_dim] and classes [B] -> images [B, C, H, W] in [0, 1], and the ``law`` of the pixels around them.

    A linear layer with a LeakyReLU makes the map that ``decoder`` starts from, of ``latent_shape`` (channels, height, width).
    """

    def __init__(
        self,
        decoder: Callable[..., Decoder],
        *,
        latent_shape: tuple[int, int, int],
        image_shape: tuple[int, int, int],
        num_classes: int,
        latent_dim: int,
        law: nn.Module,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.linear = keras_start(nn.Linear(latent_dim + num_classes, math.prod(latent_shape)))
        self.decoder = decoder(latent_shape=latent_shape, image_shape=image_shape)
        self.law = law

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        inputs = latents
        if self.num_classes:
            inputs = torch.cat([latents, one_hot(labels, num_classes=self.num_classes, like=latents)], dim=1)
        drawn: Tensor = self.decoder(F.leaky_relu(self.linear(inputs), SLOPE))
        return drawn
