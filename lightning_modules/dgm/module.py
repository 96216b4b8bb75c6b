"""Deep geometric moments as a classifier, trained whole or, from other weights, in its coordinate pipeline alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lightning_modules.classification import Classification
from lightning_modules.dgm.finetuning import (
    TRAINED,
    different_settings,
    freeze_all_but,
    load_weights,
    trained_before,
    trained_parts,
)
from lightning_modules.dgm.networks import DGM


class DGMClassifier(Classification):
    """`Classification` of a :class:`~lightning_modules.dgm.networks.DGM`.

    ``weights``: last.ckpt of another run to start from, of any number of classes. ``trained``: ``all``, or ``bases``, the
    coordinate pipeline and the classifier alone; batch norms of what is frozen keep the statistics they came with.
    """

    network: DGM
    averaged_network: DGM

    def __init__(
        self,
        *,
        backbone: Callable[..., DGM],
        trained: str = "all",
        weights: str | None = None,
        **given: Any,
    ) -> None:
        super().__init__(backbone=backbone, **given)
        if trained not in TRAINED:
            raise ValueError(f"unknown trained {trained!r}: choose one of {', '.join(TRAINED)}")
        if trained == "bases" and weights is None:
            raise ValueError(
                "trained=bases leaves the image features as they are: give weights=<last.ckpt of a run of method=dgm>"
            )
        self.network.check_image_size(*self.image_shape[1:])
        self.weights = weights
        self.parts = (self.network,) if trained == "all" else tuple(trained_parts(self.network))
        freeze_all_but(self.network, list(self.parts))
        self.train()  # a trainer takes the modes that it finds

    def train(self, mode: bool = True) -> DGMClassifier:
        """What is frozen stays in evaluation."""
        super().train(mode)
        self.network.eval()
        for part in self.parts:
            part.train(mode)
        return self

    def trained_parameters(self) -> list[nn.Parameter]:
        return [parameter for part in self.parts for parameter in part.parameters()]

    def on_fit_start(self) -> None:
        """At the start of a run, not of its continuation, whose checkpoint has weights of its own."""
        if self.weights is None or self.images_seen > 0:
            return
        state, settings = trained_before(self.weights)
        differences = different_settings(settings, self.run_config["method"]["backbone"])
        for network in (self.network, self.averaged_network):
            has_classifier = load_weights(network, state, path=self.weights, differences=differences)
        if not has_classifier and self.trainer.is_global_zero:
            classes = len(state["classifier.weight"])
            print(
                f"note: {self.weights} tells {classes} classes apart, and the data have {self.num_classes}: the classifier "
                "starts afresh",
                file=sys.stderr,
            )

    def heatmaps(self, images: Tensor) -> list[Tensor]:
        """Images [B, C, H, W] -> eq. 5.4 at each level under the averaged weights, [B, N, N] each."""
        return self.averaged_network.heatmaps(images)
