"""What autoencoders of a normal prior have in common, whatever holds their latents to it: networks, rates, what is drawn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from generative.averaging import averaged_copy
from generative.checks import check_at_least
from generative.networks.convolutional_autoencoder import Decoder, Encoder
from generative.precision import at_least_float32
from generative.priors.normal import Normal
from generative.schedules import warmup_cosine
from lightning_modules.base import HasLatents, Reconstructs
from lightning_modules.vae.bound import pixel_law
from lightning_modules.vae.networks import ClassDecoder, PosteriorNetwork


class Autoencoder(HasLatents, Reconstructs):
    """Trains an encoder and a decoder together down :meth:`objective`, given the images' classes if ``conditional``.

    ``encoder`` and ``decoder`` are the bodies of both. ``likelihood`` of pixels in [0, 1]: ``gaussian`` with a deviation
    ``sigma`` (None: learnt), or ``bernoulli``. The learning rate falls to 0 along a cosine over ``budget_kimg``. A sample is the
    image that is drawn for a latent of N(0, I), without noise of the pixels; a reconstruction that of the posterior's mean.
    """

    stated_arguments = ("prior",)  # what holds latents to it is of the normal one

    def __init__(
        self,
        *,
        num_classes: int,
        encoder: Callable[..., Encoder],
        decoder: Callable[..., Decoder],
        optimizer: Callable[..., Optimizer],
        latent_dim: int,
        budget_kimg: float,
        conditional: bool = True,
        likelihood: str = "gaussian",
        sigma: float | None = None,
        **given: Any,
    ) -> None:
        super().__init__(num_classes=num_classes if conditional else 0, prior=Normal(), **given)
        check_at_least(1, latent_dim=latent_dim)
        if budget_kimg <= 0:
            raise ValueError(f"budget_kimg must be above 0, got {budget_kimg}")
        if conditional and num_classes == 0:
            raise ValueError("conditional=true takes data with classes, and these have none: set conditional to false")
        self.latent_dim = latent_dim
        sizes = {"num_classes": self.num_classes, "latent_dim": latent_dim}
        self.encoder = PosteriorNetwork(encoder, image_channels=self.image_shape[0], **sizes)
        self.decoder = ClassDecoder(
            decoder,
            latent_shape=self.encoder.body.latent_shape,
            image_shape=self.image_shape,
            law=pixel_law(likelihood, sigma),
            **sizes,
        )
        self.averaged_encoder = averaged_copy(self.encoder)
        self.averaged_decoder = averaged_copy(self.decoder)
        self.make_optimizer = optimizer
        self.budget_images = round(1000 * budget_kimg)

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer([*self.encoder.parameters(), *self.decoder.parameters()])

    def rate_factor(self) -> float:
        """The factor at the step's middle: the last step has no rate of 0."""
        return warmup_cosine(self.images_seen + self.global_batch // 2, warmup=0, end=self.budget_images)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        self.set_rates(self.rate_factor())
        # 1. Encoder and decoder learn together, 2. the averages that are shown follow.
        self.update(self.optimizers(), self.objective, batch)  # type: ignore[arg-type]
        self.move_average()
        self.count_images(batch["image"])

    @abstractmethod
    def objective(self, part: dict[str, Any]) -> Tensor:
        """What is minimised, the mean over a part of a batch."""

    def classes(self, labels: Tensor | None) -> Tensor | None:
        """Those that the networks take: none where it is not conditional."""
        return labels if self.num_classes else None

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        return 2.0 * at_least_float32(self.averaged_decoder(latents, labels)) - 1.0

    @torch.no_grad()
    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        labels = self.classes(labels)
        return self.decode(self.averaged_encoder(images, labels).mean.to(images), labels)
