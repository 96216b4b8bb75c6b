"""A variational autoencoder as a training recipe, by class or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import CatMetric, MeanMetric, Metric

from generative.averaging import averaged_copy
from generative.checks import check_at_least
from generative.latents.addressed import normals
from generative.networks.convolutional_autoencoder import Decoder, Encoder
from generative.precision import at_least_float32, full_precision
from generative.priors.normal import Normal
from generative.randomness import Stream
from generative.schedules import warmup_cosine
from lightning_modules.base import HasLatents, Reconstructs
from lightning_modules.vae.bound import Bound, active_units, pixel_law
from lightning_modules.vae.networks import ClassDecoder, PosteriorNetwork


class VAE(HasLatents, Reconstructs):
    """Trains an encoder and a decoder to climb the evidence lower bound of the images, given their classes if ``conditional``.

    ``encoder`` and ``decoder`` are the bodies of both. ``beta`` weighs the divergence in the loss; the bound itself, which
    is tested, has weight 1. ``likelihood`` of pixels in [0, 1]: ``gaussian`` with a deviation ``sigma`` (None: learnt), or
    ``bernoulli``. The learning rate falls to 0 along a cosine over ``budget_kimg``. A sample is the image that is drawn for
    a latent of N(0, I), without noise of the pixels; a reconstruction that of the posterior's mean.
    """

    measures = {"elbo": "higher", "kl": "lower", "active_units": "higher"}  # noqa: RUF012
    test_task = "likelihood"
    stated_arguments = ("prior",)  # the divergence has its closed form for the normal one

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
        beta: float = 1.0,
        likelihood: str = "gaussian",
        sigma: float | None = None,
        **given: Any,
    ) -> None:
        super().__init__(num_classes=num_classes if conditional else 0, prior=Normal(), **given)
        check_at_least(1, latent_dim=latent_dim)
        check_at_least(0, beta=beta)
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
        self.beta = beta
        self.test_metrics: dict[str, Metric] = {}  # no submodules: a checkpoint holds weights, not counts

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer([*self.encoder.parameters(), *self.decoder.parameters()])

    def rate_factor(self) -> float:
        """The factor at the step's middle: the last step has no rate of 0."""
        return warmup_cosine(self.images_seen + self.global_batch // 2, warmup=0, end=self.budget_images)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        self.set_rates(self.rate_factor())
        # 1. Encoder and decoder climb the bound together, 2. the averages that are shown follow.
        self.update(self.optimizers(), self.objective, batch)  # type: ignore[arg-type]
        self.move_average()
        self.count_images(batch["image"])

    def objective(self, part: dict[str, Any]) -> Tensor:
        """Minus the bound of a part of a batch, at the point of each posterior that the image's number in the run says."""
        images, labels = part["image"], self.classes(part["label"])
        noise = Stream(self.seed, "posterior").normal(part["first_number"], len(images), self.latent_dim)
        posterior = self.encoder(images, labels)
        drawn = self.decoder(posterior.at(noise.to(posterior.mean)), labels)
        bound = Bound.of(0.5 * (images + 1.0), drawn, self.decoder.law, posterior)
        loss = bound.loss(self.beta)
        self.record({"loss/bound": loss, "score/elbo": bound.value.mean(), "score/kl": bound.divergence.mean()})
        return loss

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

    def on_test_start(self) -> None:
        kinds: dict[str, type[Metric]] = {"elbo": MeanMetric, "kl": MeanMetric, "means": CatMetric}
        self.test_metrics = {name: kind().to(self.device) for name, kind in kinds.items()}

    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        images, labels = batch["image"], self.classes(batch["label"])
        stream = Stream(self.seed, "posterior of the test images")
        noise = torch.stack([normals(stream, number, self.latent_dim) for number in batch["index"].tolist()])
        with full_precision(self.device.type):
            posterior = self.averaged_encoder(images, labels)
            drawn = self.averaged_decoder(posterior.at(noise.to(posterior.mean)), labels)
            bound = Bound.of(0.5 * (images + 1.0), drawn, self.averaged_decoder.law, posterior)
        for name, values in {"elbo": bound.value, "kl": bound.divergence, "means": posterior.mean}.items():
            self.test_metrics[name].update(values)

    def test_results(self) -> dict[str, dict[str, float]]:
        """Means over the test images, each once over all ranks: the bound and its divergence in nats, units in use."""
        if not self.test_metrics:
            return {}
        found = {name: metric.compute() for name, metric in self.test_metrics.items()}
        units = float(active_units(found.pop("means")))
        return {self.test_task: {name: float(value) for name, value in found.items()} | {"active_units": units}}
