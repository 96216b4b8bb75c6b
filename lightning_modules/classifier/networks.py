"""Backbones of torchvision for any image size, any number of channels and normalisation by batch or by group."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torchvision.models import MobileNetV2, MobileNetV3, mobilenet_v2, mobilenet_v3_small
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from generative.checks import check_choice
from generative.networks.classifier import ClassifierNetwork
from generative.networks.normalization import LEAST_CHANNELS, by_powers_of_two, group_norm

NormLayer = Callable[[int], nn.Module]

RESNETS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], list[int]]] = {
    "resnet10": (BasicBlock, [1, 1, 1, 1]),
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
}
MOBILENETS: dict[str, Callable[..., MobileNetV2 | MobileNetV3]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
}

# None leaves each architecture the batch norm that it was published with.
NORM_LAYERS: dict[str, NormLayer | None] = {
    "batch": None,
    "group": partial(group_norm, least_channels=LEAST_CHANNELS, rule=by_powers_of_two),
}


def first_convolution(like: nn.Conv2d, *, in_channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    """A convolution in the place of ``like``, initialised as torchvision initialises it."""
    convolution = nn.Conv2d(
        in_channels, like.out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
    )
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


def resnet(
    architecture: str, *, image_channels: int, num_classes: int, small_stem: bool, norm_layer: NormLayer | None
) -> tuple[nn.Module, nn.Module, nn.Linear]:
    """Trunk (images -> pooled features), head (here nothing) and classifier."""
    block, layers = RESNETS[architecture]
    trunk = ResNet(block, layers, num_classes=num_classes, norm_layer=norm_layer)
    if small_stem:
        trunk.conv1 = first_convolution(trunk.conv1, in_channels=image_channels, kernel_size=3, stride=1)
        trunk.maxpool = nn.Identity()
    elif image_channels != 3:
        trunk.conv1 = first_convolution(trunk.conv1, in_channels=image_channels, kernel_size=7, stride=2)
    classifier, trunk.fc = trunk.fc, nn.Identity()
    return trunk, nn.Identity(), classifier


def mobilenet(
    architecture: str, *, image_channels: int, num_classes: int, small_stem: bool, norm_layer: NormLayer | None
) -> tuple[nn.Module, nn.Module, nn.Linear]:
    """Trunk (images -> pooled features), head (v3: a hidden layer) and classifier."""
    trunk = MOBILENETS[architecture](weights=None, num_classes=num_classes, norm_layer=norm_layer)
    stem = trunk.features[0]
    stride = 1 if small_stem else 2
    stem[0] = first_convolution(stem[0], in_channels=image_channels, kernel_size=3, stride=stride)
    *hidden, classifier = [layer for layer in trunk.classifier if not isinstance(layer, nn.Dropout)]
    trunk.classifier = nn.Identity()
    return trunk, nn.Sequential(*hidden), classifier


class Backbone(ClassifierNetwork):
    """Images [B, C, H, W] in [-1, 1] -> logits [B, num_classes], by an architecture of torchvision without its weights.

    ``stem`` is ``imagenet``, as published, or ``small``, for images below 64 pixels: a first convolution of 3 x 3 and
    stride 1, and no pooling after it. ``normalization`` is ``batch`` or ``group``; ``dropout`` as in the base class.
    """

    def __init__(
        self,
        *,
        architecture: str,
        image_channels: int,
        num_classes: int,
        stem: str = "imagenet",
        normalization: str = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dropout=dropout)
        check_choice("architecture", architecture, (*RESNETS, *MOBILENETS))
        check_choice("stem", stem, ("imagenet", "small"))
        check_choice("normalization", normalization, tuple(NORM_LAYERS))
        make = resnet if architecture in RESNETS else mobilenet
        self.trunk, self.head, self.classifier = make(
            architecture,
            image_channels=image_channels,
            num_classes=num_classes,
            small_stem=stem == "small",
            norm_layer=NORM_LAYERS[normalization],
        )
        hidden = [layer.in_features for layer in self.head.modules() if isinstance(layer, nn.Linear)]
        self.num_features = hidden[0] if hidden else self.classifier.in_features
        self.normalization = normalization

    def features(self, images: Tensor) -> Tensor:
        """What the last stage says of each image, averaged over its pixels: [B, num_features]."""
        return self.trunk(images)

    def last_maps(self) -> nn.Module:
        found = self.trunk.layer4 if isinstance(self.trunk, ResNet) else self.trunk.features
        assert isinstance(found, nn.Module)
        return found

    def classify(self, features: Tensor, factors: Tensor | None = None) -> Tensor:
        return super().classify(self.head(features), factors)
