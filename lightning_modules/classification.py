"""How classifiers are trained and tested, whatever their network: loss, warm-up and cosine, weight average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy

from generative.attribution import grad_cam
from generative.averaging import averaged_copy
from generative.checks import check_choice
from generative.classification_losses import LOSSES
from generative.networks.classifier import ClassifierNetwork
from generative.precision import at_least_float32, full_precision
from generative.randomness import Stream
from generative.schedules import warmup_cosine
from lightning_modules.base import HasMaps

TOP_K = 5  # the second accuracy, where there are more classes than that


class Classification(HasMaps):
    """Trains ``backbone``; what is tested, and what judges, is its average ``averaged_network``.

    ``loss``: cross-entropy, or one of :mod:`generative.classification_losses`. ``label_smoothing``: share of the target
    that is spread over all classes. The learning rate rises linearly over
    the first ``warmup_share`` of ``budget_kimg`` and falls to 0 along a cosine over the rest.
    """

    kind_of_map = "Grad-CAM"

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int,
        backbone: Callable[..., ClassifierNetwork],
        optimizer: Callable[..., Optimizer],
        loss: str = "cross_entropy",
        label_smoothing: float = 0.0,
        half_life_images: float = 2_000,
        budget_kimg: float,
        warmup_share: float = 0.05,
        **given: Any,
    ) -> None:
        super().__init__(image_shape=image_shape, num_classes=num_classes, half_life_images=half_life_images, **given)
        if num_classes < 2:
            raise ValueError(f"a classifier needs data with at least 2 classes, and these have {num_classes}")
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        if not 0.0 <= warmup_share < 1.0:
            raise ValueError(f"warmup_share must be at least 0 and below 1, got {warmup_share}")
        check_choice("loss", loss, tuple(LOSSES))
        if loss != "cross_entropy" and label_smoothing > 0:
            raise ValueError(f"label_smoothing={label_smoothing} is of cross-entropy: leave it out with loss={loss}")
        self.loss_name = loss
        self.network = backbone(image_channels=image_shape[0], num_classes=num_classes)
        self.averaged_network = averaged_copy(self.network)
        self.num_features = self.network.num_features
        self.make_optimizer = optimizer
        self.label_smoothing = label_smoothing
        self.budget_images = round(budget_kimg * 1000)
        self.warmup_images = int(self.budget_images * warmup_share)
        self.test_metrics: dict[str, Metric] = {}  # no submodules: a checkpoint holds weights, not counts

    def trained_parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves."""
        return list(self.network.parameters())

    def configure_optimizers(self) -> Optimizer:
        return self.make_optimizer(self.trained_parameters())

    def rate_factor(self) -> float:
        """The factor at the step's middle: neither the first step nor the last has a rate of 0."""
        middle = self.images_seen + self.global_batch // 2
        return warmup_cosine(middle, warmup=self.warmup_images, end=self.budget_images)

    def dropout_factors(self, first: int, count: int) -> Tensor | None:
        if self.network.dropout == 0.0:
            return None
        uniform = Stream(self.seed, "dropout").uniform(first, count, self.network.classifier.in_features)
        return self.network.dropout_factors(uniform).to(self.network.classifier.weight)  # its device and type

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        self.set_rates(self.rate_factor())
        # 1. The network learns to name the images, 2. the average that is tested follows.
        self.update(optimizer, self.objective, batch)
        self.move_average()
        self.count_images(batch["image"])

    def objective(self, part: dict[str, Any]) -> Tensor:
        """The loss of a part of a batch."""
        images, labels, first = part["image"], part["label"], part["first_number"]
        logits = at_least_float32(self.network(images, self.dropout_factors(first, len(images))))
        return self.class_loss(logits, labels)

    def class_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits [B, num_classes], recorded by its name."""
        if self.label_smoothing > 0:
            loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        else:
            loss = LOSSES[self.loss_name](logits, labels).mean()
        accuracy = (logits.argmax(dim=1) == labels).to(logits.dtype).mean()
        self.record({f"loss/{self.loss_name}": loss, "score/accuracy": accuracy})
        return loss

    def features(self, images: Tensor) -> Tensor:
        return self.averaged_network.features(images)

    def classify(self, features: Tensor) -> Tensor:
        return self.averaged_network.classify(features)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes] under the averaged weights."""
        return self.averaged_network(images)

    def heatmaps(self, images: Tensor, classes: Tensor) -> list[Tensor]:
        return [grad_cam(self.averaged_network, images, classes)]

    def on_test_start(self) -> None:
        def accuracy(top_k: int) -> Metric:
            return MulticlassAccuracy(self.num_classes, top_k=top_k, average="micro").to(self.device)

        self.test_metrics = {"accuracy": accuracy(1), "cross_entropy": MeanMetric().to(self.device)}
        if self.num_classes > TOP_K:
            self.test_metrics[f"top{TOP_K}_accuracy"] = accuracy(TOP_K)

    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        with full_precision(self.device.type):
            logits, labels = self(batch["image"]), batch["label"]
        for name, metric in self.test_metrics.items():
            if name == "cross_entropy":
                metric.update(F.cross_entropy(logits, labels), weight=len(labels))
            else:
                metric.update(logits, labels)

    def test_results(self) -> dict[str, dict[str, float]]:
        """Shares of the test images and the mean cross-entropy in nats, each image once over all ranks."""
        values = {name: float(metric.compute()) for name, metric in self.test_metrics.items()}
        return {self.test_task: values} if values else {}
