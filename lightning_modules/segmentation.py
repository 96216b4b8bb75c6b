"""How networks that name every pixel are trained and tested: cross-entropy, polynomial decay, weight average, mean IoU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics.classification import MulticlassConfusionMatrix

from generative.precision import full_precision
from generative.rendering.masks import NO_CLASS
from generative.schedules import polynomial_decay
from lightning_modules.base import Segments


def checked_masks(batch: dict[str, Any], num_classes: int) -> Tensor:
    """The masks of a batch as int64 [B, H, W]; ValueError for a value that is neither a class nor NO_CLASS."""
    if "mask" not in batch:
        raise ValueError(
            "the data have no masks to segment by: choose a datamodule such as image_masks (your own) or digit_masks"
        )
    masks: Tensor = batch["mask"].long()
    outside = masks[((masks < 0) | (masks >= num_classes)) & (masks != NO_CLASS)]
    if len(outside):
        raise ValueError(
            f"a mask holds the value {int(outside[0])}: give the pixels of {num_classes} classes 0 to {num_classes - 1}, "
            f"or {NO_CLASS} for none"
        )
    return masks


def intersection_over_union(confusion: Tensor) -> Tensor:
    """TP / (TP + FP + FN) of each class, [K] float64, of counts [K, K] of (true, predicted); NaN of an absent class."""
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(dim=0) + confusion.sum(dim=1) - hits)


def mean_iou(confusion: Tensor) -> float:
    """The mean over the classes that are in the masks or in the predictions."""
    return float(intersection_over_union(confusion).nanmean())


def pixel_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Sum over the pixels that count: logits [B, classes, H, W] and classes [B, H, W].

    A GPU has no deterministic form of this loss over images; it has one over rows.
    """
    if torch.are_deterministic_algorithms_enabled():
        logits, masks = logits.movedim(1, -1).flatten(0, 2), masks.flatten()
    return F.cross_entropy(logits, masks, ignore_index=NO_CLASS, reduction="sum")


class PixelClassification(Segments):
    """Trains a subclass's ``network`` with cross-entropy; what is tested is its average ``averaged_network``.

    Both take images [B, C, H, W] in [-1, 1], and in training :meth:`dropout_factors`, to logits [B, classes, H, W]. The
    learning rate falls with (1 - t) ** ``power`` over ``budget_kimg`` (DeepLabv3+). ``target_classes``: names of the
    classes, from the data module.
    """

    network: nn.Module
    averaged_network: nn.Module

    def __init__(
        self,
        *,
        num_classes: int,
        target_classes: tuple[str, ...],
        optimizer: Callable[..., Optimizer],
        half_life_images: float = 2_000,
        budget_kimg: float,
        power: float = 0.9,
        **given: Any,
    ) -> None:
        if len(target_classes) < 2:
            raise ValueError(
                f"segmentation needs masks of at least 2 classes, and the data have {len(target_classes)}: choose a "
                "datamodule such as image_masks (your own) or digit_masks"
            )
        super().__init__(num_classes=len(target_classes), half_life_images=half_life_images, **given)
        self.target_classes = target_classes
        self.make_optimizer = optimizer
        self.budget_images = round(budget_kimg * 1000)
        self.power = power
        self.test_metrics: list[MulticlassConfusionMatrix] = []  # no submodules: a checkpoint holds weights, not counts

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer(self.network.parameters())

    def rate_factor(self) -> float:
        """The factor at the step's middle."""
        middle = self.images_seen + self.global_batch // 2
        return polynomial_decay(middle, end=self.budget_images, power=self.power)

    def dropout_factors(self, first: int, count: int) -> Tensor | None:
        """What the network is to leave out of the images ``first .. first + count - 1``; None: nothing."""
        return None

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        self.set_rates(self.rate_factor())
        # The mean is over the pixels that count in the global batch: parts and ranks have more of them or fewer.
        counts = checked_masks(batch, self.num_classes) != NO_CLASS
        share = self.trainer.world_size * self.accumulate / max(int(self.gather(counts.sum()[None]).sum()), 1)
        # 1. The network learns to name the pixels, 2. the average that is tested follows.
        self.update(optimizer, lambda part: self.objective(part, share), batch)
        self.move_average()
        self.count_images(batch["image"])

    def objective(self, part: dict[str, Any], share: float) -> Tensor:
        """Cross-entropy of the pixels of a part of a batch, each of them weighed by ``share``."""
        images, masks = part["image"], part["mask"].long()
        logits = self.network(images, self.dropout_factors(part["first_number"], len(images)))
        loss = pixel_cross_entropy(logits, masks) * share
        self.record({"loss/cross_entropy": loss, "score/pixel_accuracy": (logits.argmax(dim=1) == masks).sum() * share})
        return loss

    def segment(self, images: Tensor) -> Tensor:
        return self(images)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes, H, W] under the averaged weights."""
        with full_precision(self.device.type):
            return self.averaged_network(images)

    def on_test_start(self) -> None:
        self.test_metrics = [MulticlassConfusionMatrix(self.num_classes, ignore_index=NO_CLASS).to(self.device)]

    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        (confusion,) = self.test_metrics
        confusion.update(self(batch["image"]).argmax(dim=1), checked_masks(batch, self.num_classes))

    def test_results(self) -> dict[str, dict[str, float]]:
        """Mean IoU and share of right pixels, over all pixels of the split that count, once each over all ranks."""
        (metric,) = self.test_metrics
        confusion = metric.compute()
        values = {
            "mean_iou": mean_iou(confusion),
            "pixel_accuracy": float(confusion.diagonal().sum() / confusion.sum()),
        }
        return {self.test_task: values}
