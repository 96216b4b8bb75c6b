"""Semantic segmentation by deep geometric moments (section 5.4.7): a backbone, a head, a class for each pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from generative.averaging import averaged_copy
from generative.randomness import Stream
from lightning_modules.dgm.backbones import Backbone
from lightning_modules.dgm.finetuning import SOURCE, backbone_state
from lightning_modules.dgm.heads import Head, SegmentationNetwork
from lightning_modules.segmentation import PixelClassification
from lightning_modules.weights import Weights, load


class Segmentation(PixelClassification):
    """`PixelClassification` by a backbone and a head. ``weights`` are a classifier's, whose backbone this one starts from."""

    weights_source = SOURCE

    network: SegmentationNetwork
    averaged_network: SegmentationNetwork

    def __init__(self, *, backbone: Callable[..., Backbone], head: Callable[..., Head], **given: Any) -> None:
        super().__init__(**given)
        channels, height, width = self.image_shape
        stem = backbone(image_channels=channels)
        stem.check_image_size(height, width)
        top = head(num_channels=stem.num_channels, num_early=stem.num_early, num_classes=self.num_classes)
        self.network = SegmentationNetwork(stem, top)
        self.averaged_network = averaged_copy(self.network)

    def on_fit_start(self) -> None:
        """Whether test images fit, before they must."""
        self.network.backbone.check_image_size(*self.trainer.datamodule.test_size)  # type: ignore[attr-defined]
        super().on_fit_start()

    def take_weights(self, weights: Weights) -> None:
        """The backbone of a classifier."""
        state = backbone_state(weights)
        for network in (self.network, self.averaged_network):
            load(network.backbone, state, path=weights.path, part="backbone")

    def dropout_factors(self, first: int, count: int) -> Tensor | None:
        head = self.network.head
        if head.dropout == 0.0:
            return None
        uniform = Stream(self.seed, "dropout").uniform(first, count, head.width)
        return head.dropout_factors(uniform).to(next(head.parameters()))  # its device and type
