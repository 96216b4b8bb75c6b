"""A Wasserstein autoencoder as a training recipe: latents as a whole are held to the prior, not those of each image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from generative.accumulation import groups
from generative.adversarial.mmd import inverse_multiquadratic_mmd
from generative.checks import check_at_least
from generative.precision import at_least_float32
from lightning_modules.vae.autoencoder import Autoencoder


class WAE(Autoencoder):
    """An autoencoder that minimises |x - G(z)|^2 + ``weight`` MMD^2(z, N(0, I)) (WAE-MMD, Tolstikhin et al. 2018, algorithm 2).

    z is the posterior's mean: its variances learn nothing. The error is summed over the pixels of an image in [0, 1]. The
    kernel is the inverse multiquadratic one. The discrepancy is estimated in groups of ``group_size`` neighbours of a batch, which
    several ranks and parts of a batch share. It has no likelihood.
    """

    stated_arguments = ("likelihood", "sigma")  # type: ignore[assignment]

    def __init__(self, *, group_size: int, weight: float = 10.0, **given: Any) -> None:
        super().__init__(likelihood="gaussian", sigma=1.0, **given)
        check_at_least(2, group_size=group_size)
        check_at_least(0, weight=weight)
        self.group_size, self.weight = group_size, weight

    def objective(self, part: dict[str, Any]) -> Tensor:
        images, labels = part["image"], self.classes(part["label"])
        z = self.encoder(images, labels).mean
        drawn = at_least_float32(self.decoder(z, labels))
        error = (0.5 * (images + 1.0) - drawn).square().flatten(1).sum(dim=1).mean()
        with torch.autocast(self.device.type, enabled=False):
            prior = self.training_latents(part).to(z)
            distance = inverse_multiquadratic_mmd(*(groups(rows, group_size=self.group_size) for rows in (z, prior)))
        loss = error + self.weight * distance
        self.record({"loss/total": loss, "score/squared_error": error, "score/mmd": distance})
        return loss
