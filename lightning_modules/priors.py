"""The prior of a method's latents: its draws, its place in a checkpoint, and what a network leaves of it."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from torch import Tensor

from generative.priors.base import IsotropicPrior, Prior
from generative.priors.normal import Normal
from generative.randomness import Stream
from lightning_modules.steps import ManualSteps


class HasPrior(ManualSteps):
    """Its latents are of ``prior``, a law of ``latent_dim`` numbers, by default the standard normal one.

    What the prior read from disk travels with the checkpoint. ``keeps_norms``: whether the network can hear the norm of a
    latent, and ``norms_setting`` what makes it, if not: where that changes the prior, a run says so when it starts.
    """

    seed: int
    latent_dim: int
    keeps_norms: bool = True
    norms_setting: ClassVar[str] = ""

    def __init__(self, *, prior: Prior | None = None, **given: Any) -> None:
        super().__init__(**given)
        self.prior = Normal() if prior is None else prior

    def latents(self, first: int, count: int, *, seed: int, stream: str = "evaluation") -> Tensor:
        """Latents [count, ...] of the images ``first .. first + count - 1`` of ``seed``, one stream for each use."""
        latents = self.prior.sample(first, count, self.latent_dim, Stream(seed, stream))
        return latents.to(self.device).type(self.dtype)

    def training_latents(self, part: dict[str, Any]) -> Tensor:
        """Latents [B, ...] of the B images of a part of a training batch, whatever its size."""
        return self.latents(part["first_number"], len(part["image"]), seed=self.seed, stream="latents")

    def on_fit_start(self) -> None:
        super().on_fit_start()
        note = self.lost_prior()
        if note and self.images_seen == 0 and self.trainer.is_global_zero:
            print(f"note: {note}", file=sys.stderr)

    def lost_prior(self) -> str:
        """What the network leaves of a prior other than the normal one, and what keeps it whole; empty: it is whole."""
        if self.keeps_norms or isinstance(self.prior, Normal):
            return ""
        left = "equal to the normal prior" if isinstance(self.prior, IsotropicPrior) else "without its norms"
        return (
            f"the network divides every latent by its norm, which leaves the prior {type(self.prior).__name__} {left}: "
            f"{self.norms_setting} keeps the norms"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if state := self.prior.state():
            checkpoint["prior"] = state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.prior.load_state(checkpoint.get("prior", {}))
