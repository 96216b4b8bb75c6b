"""Deep geometric moments as a classifier, trained whole or, from other weights, in its coordinate pipeline alone."""

from __future__ import annotations

import sys
from collections.abc import Callable

from torch import Tensor, nn
from torch.optim import Optimizer

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
        image_shape: tuple[int, int, int],
        num_classes: int,
        seed: int,
        backbone: Callable[..., DGM],
        optimizer: Callable[..., Optimizer],
        label_smoothing: float = 0.0,
        half_life_images: float = 2_000,
        average_ramp_up: float = 0.05,
        budget_kimg: float,
        warmup_share: float = 0.05,
        accumulate: int = 1,
        clip_norm: float = 0.0,
        trained: str = "all",
        weights: str | None = None,
    ) -> None:
        super().__init__(
            image_shape=image_shape,
            num_classes=num_classes,
            seed=seed,
            backbone=backbone,
            optimizer=optimizer,
            label_smoothing=label_smoothing,
            half_life_images=half_life_images,
            average_ramp_up=average_ramp_up,
            budget_kimg=budget_kimg,
            warmup_share=warmup_share,
            accumulate=accumulate,
            clip_norm=clip_norm,
        )
        if trained not in TRAINED:
            raise ValueError(f"unknown trained {trained!r}: choose one of {', '.join(TRAINED)}")
        if trained == "bases" and weights is None:
            raise ValueError(
                "trained=bases leaves the image features as they are: give weights=<last.ckpt of a run of method=dgm>"
            )
        self.network.check_image_size(*image_shape[1:])
        self.kind_of_map = "features x means" if self.network.bases is None else "moments"
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

    def heatmaps(self, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Eq. 5.4 at each level, [B, N, N] each, or without moments the features weighted by their means.

        Neither knows ``classes``.
        """
        return self.averaged_network.heatmaps(images)
