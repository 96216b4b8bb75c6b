"""What a detector sees an image by: a trunk's maps at four strides, and a pyramid of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import timm
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from generative.checks import check_at_least, check_choice
from generative.networks.normalization import LEAST_CHANNELS, by_powers_of_two, group_norm
from lightning_modules.weights import Weights, load
from metrics.features import EfficientNetLite

STRIDES = (4, 8, 16, 32)  # of the maps of every trunk; the pyramid adds 64
TRUNK = "trunk."  # what the names of a classifier's weights begin with below its pooling
GROUP_NORM = partial(group_norm, least_channels=LEAST_CHANNELS, rule=by_powers_of_two)
NORM_LAYERS: dict[str, Callable[[int], nn.Module]] = {"frozen": FrozenBatchNorm2d, "group": GROUP_NORM}


@dataclass(frozen=True)
class Trunk:
    """``body``: images [B, 3, H, W] -> maps at the strides 4, 8, 16, 32 of so many ``channels``.

    ``stages``: its parts from the image on, for freezing the first of them.
    """

    body: nn.Module
    channels: tuple[int, int, int, int]
    stages: list[list[nn.Module]]


def resnet50(norm_layer: Callable[[int], nn.Module]) -> Trunk:
    network = ResNet(Bottleneck, [3, 4, 6, 3], norm_layer=norm_layer)
    layers = [network.layer1, network.layer2, network.layer3, network.layer4]
    body = IntermediateLayerGetter(network, {f"layer{i}": str(i) for i in range(1, 5)})
    return Trunk(body, (256, 512, 1024, 2048), [[network.conv1, network.bn1], *([layer] for layer in layers)])


def mobilenet(norm_layer: Callable[[int], nn.Module]) -> Trunk:
    """Without the last convolution, which only classifies."""
    features = mobilenet_v3_small(weights=None, norm_layer=norm_layer).features
    body = IntermediateLayerGetter(features, {"1": "1", "3": "2", "8": "3", "11": "4"})
    layers = list(features)
    return Trunk(body, (16, 24, 48, 96), [layers[:1], layers[1:2], layers[2:4], layers[4:9], layers[9:12]])


def efficientnet_lite0(norm_layer: Callable[[int], nn.Module]) -> Trunk:
    if norm_layer is not FrozenBatchNorm2d:
        raise ValueError("efficientnet_lite0 is used with its own weights: give normalization=frozen")
    network: Any = timm.create_model(
        "tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4), pretrained=False
    )
    blocks = list(network.blocks)
    stages = [[network.conv_stem, network.bn1, blocks[0]], blocks[1:2], blocks[2:3], blocks[3:5], blocks[5:]]
    channels = tuple(network.feature_info.channels())
    return Trunk(freeze_batch_norm_2d(network), channels, stages)


class SmallTrunk(nn.Module):
    """Two convolutions at each stride, normalised by group: to try a detector on images of 32 pixels."""

    def __init__(self, norm_layer: Callable[[int], nn.Module], channels: tuple[int, ...]) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), norm_layer(outputs), nn.ReLU()]

        self.stem = nn.Sequential(*convolution(3, channels[0], 2))
        self.layers = nn.ModuleList(
            nn.Sequential(*convolution(inputs, outputs, 2), *convolution(outputs, outputs, 1))
            for inputs, outputs in zip((channels[0], *channels), channels, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [self.stem(images)]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[1:]


def small(norm_layer: Callable[[int], nn.Module]) -> Trunk:
    channels = (16, 24, 32, 48)
    body = SmallTrunk(norm_layer, channels)
    return Trunk(body, channels, [[body.stem], *([layer] for layer in body.layers)])


TRUNKS: dict[str, Callable[[Callable[[int], nn.Module]], Trunk]] = {
    "resnet50_fpn": resnet50,
    "mobilenet_v3_small": mobilenet,
    "efficientnet_lite0": efficientnet_lite0,
    "small": small,
}


class Backbone(nn.Module):
    """Images [B, 1 or 3, H, W] in [-1, 1] -> maps [B, ``width``, h, w] at the first ``levels`` of the strides 4 to 64.

    The trunk's maps are joined from coarse to fine (Lin et al. 2017). Mean and deviation of an image are taken as 0.5 on
    [0, 1], so images in [-1, 1] are normalised as they come, and a grey one is shown as three equal colours.

    ``normalization``: ``frozen``, batch norms whose statistics and factors stay those of the weights that were loaded, or
    ``group``, which needs no weights. ``pretrained``: start from ImageNet's weights, which only ``efficientnet_lite0``
    brings along, in its package; others start from a classifier's checkpoint by ``method.weights``. The first
    ``frozen_stages`` of the trunk's five stages do not train.
    """

    def __init__(
        self,
        *,
        levels: int,
        architecture: str,
        width: int = 256,
        normalization: str = "frozen",
        pretrained: bool = False,
        frozen_stages: int = 0,
    ) -> None:
        super().__init__()
        check_choice("architecture", architecture, tuple(TRUNKS))
        check_choice("normalization", normalization, tuple(NORM_LAYERS))
        check_at_least(1, width=width)
        if not 0 <= frozen_stages <= 5:
            raise ValueError(f"frozen_stages must be between 0 and 5, got {frozen_stages}")
        if pretrained and architecture != "efficientnet_lite0":
            raise ValueError(
                f"{architecture} has no weights in a package: leave out pretrained, and start from a classifier by "
                "method.weights=<last.ckpt>"
            )
        trunk = TRUNKS[architecture](NORM_LAYERS[normalization])
        self.architecture, self.pretrained, self.levels, self.width = architecture, pretrained, levels, width
        self.body = trunk.body
        extra = LastLevelMaxPool() if levels > len(STRIDES) else None
        self.pyramid = FeaturePyramidNetwork(list(trunk.channels), width, extra)
        for unused in range(levels, len(STRIDES)):
            self.pyramid.layer_blocks[unused] = nn.Identity()
        for stage in trunk.stages[:frozen_stages]:
            for part in stage:
                part.requires_grad_(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.body(images.expand(-1, 3, -1, -1))
        named = dict(zip("0123", maps.values() if isinstance(maps, dict) else maps, strict=True))
        return dict(list(self.pyramid(named).items())[: self.levels])

    def load_packaged(self) -> None:
        """ImageNet's weights out of the package; ValueError where it is not installed."""
        state = EfficientNetLite(0).network.state_dict()
        own = self.body.state_dict()
        self.body.load_state_dict({name: state[name] for name in own})

    def load_classifier(self, weights: Weights) -> None:
        """The trunk of a trained classifier of the same architecture; ValueError where it does not fit."""
        state = weights.of("network") or weights.state
        trunk = {name.removeprefix(TRUNK).removeprefix("features."): value for name, value in state.items()}
        own = self.body.state_dict()
        load(
            self.body, {name: trunk[name] for name in own if name in trunk}, path=weights.path, part="network.backbone"
        )
