"""Faster R-CNN as a method: how it is trained, what it finds, how it is tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from generative.averaging import averaged_copy
from generative.precision import full_precision
from generative.randomness import Stream
from generative.ranks import from_all_ranks
from generative.schedules import warmup_cosine
from lightning_modules.base import Detects
from lightning_modules.detector.networks import FasterRCNN, Found
from lightning_modules.weights import Weights
from metrics.detection import FALSE_CALLS, Inspected, detection_scores, once_each, recall_name
from metrics.measures import Measures

NO_BOXES = "the data have no boxes to detect by: choose a datamodule such as defect_crops, inspection (your own) or digit_boxes"
CLASS_WEIGHTS = "heads.box_predictor.cls_score.weight"


def objects_of(batch: dict[str, Any], num_classes: int) -> list[Found]:
    """Of each image of a batch "boxes" float32 [K, 4] and "labels" int64 [K]: the rows of label -1 are none.

    An image without objects has [0, 4] and [0]. ValueError where the batch has no boxes, or a class that is not one of
    ``num_classes``.
    """
    if "boxes" not in batch:
        raise ValueError(NO_BOXES)
    boxes, labels = batch["boxes"], batch["box_label"]
    outside = labels[labels >= num_classes]
    if len(outside):
        raise ValueError(
            f"a box is of class {int(outside[0])}, and the data name {num_classes} classes: give boxes of the classes 0 to "
            f"{num_classes - 1}, or -1 for none"
        )
    there = labels >= 0
    return [
        {"boxes": of_image[kept], "labels": names[kept]}
        for of_image, names, kept in zip(boxes, labels, there, strict=True)
    ]


class Detector(Detects):
    """Trains ``network``; what finds, and what is tested, is its average ``averaged_network``.

    ``network`` makes a :class:`FasterRCNN` of a number of classes. The sum of its four losses is minimised. The learning
    rate rises linearly over the first ``warmup_share`` of ``budget_kimg`` and falls to 0 along a cosine over the rest.
    ``target_classes``: names of the classes of boxes, from the data module.

    Which anchors and proposals of an image enter the losses is drawn by (seed, number of the image in the run), so a run
    that was killed goes on to the same bits, and ranks and parts of a batch (``accumulate``) draw what one rank draws at
    once. Their weights agree as far as sums in another order do: in float64 to 1e-9 after twenty steps. In float32 a
    score that differs in its last bit can put another proposal first, as another order of sums can do anywhere.

    ``weights``: last.ckpt of another run of this method with as many classes, or of a classifier, whose trunk this one
    starts from.
    """

    weights_source = "a run of method=detector, or of a classifier of the same architecture"
    measures: ClassVar[Measures] = {recall_name(rate): "higher" for rate in FALSE_CALLS}

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        target_classes: tuple[str, ...],
        network: Callable[..., FasterRCNN],
        optimizer: Callable[..., Optimizer],
        half_life_images: float = 2_000,
        budget_kimg: float,
        warmup_share: float = 0.05,
        **given: Any,
    ) -> None:
        super().__init__(
            image_shape=image_shape, num_classes=len(target_classes), half_life_images=half_life_images, **given
        )
        if not target_classes:
            raise ValueError(NO_BOXES)
        if not 0.0 <= warmup_share < 1.0:
            raise ValueError(f"warmup_share must be at least 0 and below 1, got {warmup_share}")
        self.target_classes = target_classes
        self.network = network(num_classes=len(target_classes))
        smallest = min(size for level in self.network.anchor_sizes for size in level)
        if min(image_shape[1:]) < smallest:
            raise ValueError(
                f"images of {image_shape[1]} x {image_shape[2]} pixels are smaller than the smallest anchor, {smallest:g}: give "
                "larger images, or smaller method.network.anchor_sizes"
            )
        self.averaged_network = averaged_copy(self.network)
        self.make_optimizer = optimizer
        self.budget_images = round(budget_kimg * 1000)
        self.warmup_images = int(self.budget_images * warmup_share)
        self.tested: list[Inspected] = []  # of this rank, of the test that is running

    def on_fit_start(self) -> None:
        """At the start of a run ImageNet's weights, where they were asked for and no others."""
        if self.weights is None and self.images_seen == 0 and self.network.backbone.pretrained:
            self.network.backbone.load_packaged()
            self.averaged_network.load_state_dict(self.network.state_dict())
        super().on_fit_start()

    def take_weights(self, weights: Weights) -> None:
        """All of a detector, or the trunk of a classifier."""
        state = weights.of("network")
        if CLASS_WEIGHTS in state:
            known = len(state[CLASS_WEIGHTS]) - 1
            if known != self.num_classes:
                raise ValueError(
                    f"{weights.path} knows {known} classes and the data have {self.num_classes} "
                    f"({', '.join(self.target_classes)}): give data of its classes, or start without method.weights"
                )
            super().take_weights(weights)
            return
        for network in (self.network, self.averaged_network):
            network.backbone.load_classifier(weights)

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer([part for part in self.network.parameters() if part.requires_grad])

    def rate_factor(self) -> float:
        """The factor at the step's middle: neither the first step nor the last has a rate of 0."""
        middle = self.images_seen + self.global_batch // 2
        return warmup_cosine(middle, warmup=self.warmup_images, end=self.budget_images)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        self.set_rates(self.rate_factor())
        # 1. The network learns where objects are, and which, 2. the average that is tested follows.
        self.update(optimizer, self.objective, batch)
        self.move_average()
        self.count_images(batch["image"])

    def objective(self, part: dict[str, Any]) -> Tensor:
        """The sum of the four losses of a part of a batch."""
        seeds = Stream(self.seed, "anchors and proposals").bits(part["first_number"], len(part["image"]), 2)
        # Generators take numbers of 63 bits.
        losses = self.network(
            part["image"], objects_of(part, self.num_classes), torch.from_numpy((seeds >> 1).astype(np.int64))
        )
        self.record({f"loss/{name}": loss for name, loss in losses.items()})
        return torch.stack(list(losses.values())).sum()

    def detect(self, images: Tensor) -> list[Found]:
        """Images [B, C, H, W] of any size -> of each "boxes", "labels" from 0 and "scores", under the averaged weights."""
        with full_precision(self.device.type):
            return self.averaged_network.detect(images)

    def forward(self, images: Tensor) -> Tensor:
        """What the averaged network says of each anchor of images [B, C, H, W]: object or not, and four offsets: [B, A, 5]."""
        with full_precision(self.device.type):
            return self.averaged_network.anchor_values(images)

    def on_test_start(self) -> None:
        self.tested = []

    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        given = objects_of(batch, self.num_classes)
        for number, found, there in zip(batch["index"].tolist(), self.detect(batch["image"]), given, strict=True):
            self.tested.append(Inspected.of(number, found, there))

    def test_results(self) -> dict[str, dict[str, float]]:
        """COCO's three averages, that of each class, and recall at fixed rates of false calls, each image once over all ranks."""
        images = once_each([image for of_rank in from_all_ranks(self.tested) for image in of_rank])
        return {self.test_task: detection_scores(images, self.target_classes)}
