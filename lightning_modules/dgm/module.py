"""Deep geometric moments as a classifier, trained whole or, from other weights, in its coordinate pipeline alone."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.optim import Optimizer

from lightning_modules.classification import Classification
from lightning_modules.dgm.networks import DGM


class DGMClassifier(Classification):
    """`Classification` of a :class:`~lightning_modules.dgm.networks.DGM`."""

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
        self.network.check_image_size(*image_shape[1:])

    def heatmaps(self, images: Tensor) -> list[Tensor]:
        """Images [B, C, H, W] -> eq. 5.4 at each level under the averaged weights, [B, N, N] each."""
        return self.averaged_network.heatmaps(images)
