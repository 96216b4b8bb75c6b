"""A variational autoencoder as a training recipe, by class or not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import CatMetric, MeanMetric, Metric

from generative.checks import check_at_least
from generative.latents.addressed import normals
from generative.precision import full_precision
from generative.randomness import Stream
from lightning_modules.vae.autoencoder import Autoencoder
from lightning_modules.vae.bound import Bound, active_units


class VAE(Autoencoder):
    """An autoencoder that climbs the evidence lower bound of the images, given their classes if it is conditional.

    ``beta`` weighs the divergence in the loss; the bound itself, which is tested, has weight 1.
    """

    measures = {"elbo": "higher", "kl": "lower", "active_units": "higher"}  # noqa: RUF012
    test_task = "likelihood"

    def __init__(self, *, beta: float = 1.0, **given: Any) -> None:
        super().__init__(**given)
        check_at_least(0, beta=beta)
        self.beta = beta
        self.test_metrics: dict[str, Metric] = {}  # no submodules: a checkpoint holds weights, not counts

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
