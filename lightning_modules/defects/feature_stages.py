"""The networks in whose stages images are compared: trained on ImageNet where their weights are at hand, or on nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from generative.checks import check_choice
from metrics.features import EfficientNetLite, as_rgb, load_all, read_state_dict

NETWORKS = ("efficientnet_lite0", "vgg16", "random")
RANDOM_SEED = 0  # of its weights, the same on every machine
RANDOM_WIDTHS = (16, 32, 64)
VGG_STAGES = (3, 8, 15, 22)  # the last ReLU of each block (Johnson et al. 2016): relu1_2, relu2_2, relu3_3, relu4_3
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def check_features(name: str, file: str | None) -> None:
    """ValueError for a network that there is not, or whose weights are named where it needs none."""
    check_choice("features", name, NETWORKS)
    if (name == "vgg16") != (file is not None):
        raise ValueError(
            "features=vgg16 takes its weights from features_file (vgg16-397923af.pth of torchvision), and no other network does"
        )


def stages_of(name: str, file: str | None, *, side: int, like: Tensor) -> Callable[[Tensor], list[Tensor]]:
    """Images [B, 1 or 3, H, W] in [-1, 1] -> maps [B, C, h, w] of each stage, differentiable, on the device and in the type of
    ``like``; ValueError without the weights. ``side``: pixels that EfficientNet sees of an image.
    """
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
        if name == "efficientnet_lite0":
            return EfficientNetLite(0, side=side).to(like).stages
        network: nn.Module = RandomStages() if file is None else VGGStages(Path(file).expanduser())
    return network.to(like).eval().requires_grad_(False).forward  # no module, or checkpoints would hold it


class RandomStages(nn.Module):
    """Three untrained convolutions of stride 2: Gram matrices of those tell textures apart too (Ustyuzhaninov et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(RANDOM_SEED)
        widths = (3, *RANDOM_WIDTHS)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths))
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=(2.0 / layer.weight[0].numel()) ** 0.5, generator=generator)  # type: ignore[arg-type,index]
            nn.init.normal_(layer.bias, std=0.1, generator=generator)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> list[Tensor]:
        found, h = [], as_rgb(images)
        for layer in self.layers:
            h = nn.functional.leaky_relu(layer(h), 0.2)
            found.append(h)
        return found


class VGGStages(nn.Module):
    """VGG-16 up to relu4_3, with torchvision's weights from a file; the fully connected layers may be missing there."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        from torchvision.models.vgg import cfgs, make_layers  # a second of a program's start, for those who use it only

        layers = make_layers(cfgs["D"])  # of VGG-16, without its fully connected layers
        weights = {
            name.removeprefix("features."): value
            for name, value in read_state_dict(path).items()
            if name.startswith("features.")
        }
        load_all(layers, weights, path)
        self.layers = layers[: VGG_STAGES[-1] + 1]
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # or a stage would be changed after it was taken
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        h = (0.5 * (as_rgb(images) + 1.0) - self.mean) / self.deviation
        found = []
        for number, layer in enumerate(self.layers):
            h = layer(h)
            if number in VGG_STAGES:
                found.append(h)
        return found
