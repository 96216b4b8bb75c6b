"""Deep geometric moments as a classifier, trained whole or, from other weights, in its coordinate pipeline alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lightning_modules.classification import Classification
from lightning_modules.dgm.finetuning import (
    SOURCE,
    TRAINED,
    classifier_state,
    freeze_all_but,
    start_from,
    trained_parts,
)
from lightning_modules.dgm.networks import DGM
from lightning_modules.weights import Weights


class DGMClassifier(Classification):
    """`Classification` of a :class:`~lightning_modules.dgm.networks.DGM`.

    ``weights`` may be of a run on any number of classes. ``trained``: ``all``, or ``bases``, the coordinate pipeline and
    the classifier alone; batch norms of what is frozen keep the statistics they came with.
    """

    weights_source = SOURCE

    network: DGM
    averaged_network: DGM

    def __init__(
        self,
        *,
        backbone: Callable[..., DGM],
        trained: str = "all",
        **given: Any,
    ) -> None:
        super().__init__(backbone=backbone, **given)
        if trained not in TRAINED:
            raise ValueError(f"unknown trained {trained!r}: choose one of {', '.join(TRAINED)}")
        if trained == "bases" and self.weights is None:
            raise ValueError(
                "trained=bases leaves the image features as they are: give weights=<last.ckpt of a run of method=dgm>"
            )
        self.network.check_image_size(*self.image_shape[1:])
        self.kind_of_map = "features x means" if self.network.bases is None else "moments"
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

    def take_weights(self, weights: Weights) -> None:
        """All of a run's classifier; of other classes than these only the features."""
        for network in (self.network, self.averaged_network):
            has_classifier = start_from(network, weights, settings=self.run_config["method"]["backbone"])
        if not has_classifier and self.trainer.is_global_zero:
            classes = len(classifier_state(weights)["classifier.weight"])
            print(
                f"note: {weights.path} tells {classes} classes apart, and the data have {self.num_classes}: the classifier "
                "starts afresh",
                file=sys.stderr,
            )

    def heatmaps(self, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Eq. 5.4 at each level, [B, N, N] each, or without moments the features weighted by their means.

        Neither knows ``classes``.
        """
        return self.averaged_network.heatmaps(images)
