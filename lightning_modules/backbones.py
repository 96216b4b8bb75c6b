"""Frozen networks whose feature maps a projected critic looks at, with the weights that they were published with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.adversarial.projected import FeatureNetwork, ProjectedCritic
from generative.checks import check_choice
from generative.plain_data import are_weights, read_tensors
from metrics.features import EfficientNetLite, as_rgb, load_all

LITE, DEIT = "efficientnet_lite0", "deit_base_distilled"
BACKBONES = (LITE, DEIT)
DEIT_ARCHITECTURE = "deit_base_distilled_patch16_224"
DEIT_HASH = "df68dfff"
DEIT_URL = f"https://dl.fbaipublicfiles.com/deit/{DEIT_ARCHITECTURE}-{DEIT_HASH}.pth"
DEIT_DEPTHS = (2, 5, 8, 11)  # of its twelve blocks
DEIT_SCALES = (
    4.0,
    2.0,
    1.0,
    0.5,
)  # by which the maps of these are enlarged: one of a vision transformer is as large as another
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone(ABC):
    """Images [B, 1 or 3, S, S] in [-1, 1] -> four maps, each half the size of the last, differentiable in the images.

    No module: its weights are neither trained nor kept in checkpoints. They are read when they are first needed, so that a
    checkpoint is drawn from without them, and follow the images to their device and type.
    """

    channels: Sequence[int]
    network: Any = None

    def load(self) -> None:
        """Read the weights; ValueError, with the remedy, where they cannot be had."""
        if self.network is None:
            with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
                self.network = self.build().eval().requires_grad_(False)

    def __call__(self, images: Tensor) -> list[Tensor]:
        self.load()
        first = next(self.network.parameters())
        if first.device != images.device or first.dtype != images.dtype:
            self.network.to(images)
        return self.maps(as_rgb(images))

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its weights."""

    @abstractmethod
    def maps(self, images: Tensor) -> list[Tensor]:
        """Of images [B, 3, S, S]."""


class Lite(Backbone):
    """EfficientNet-Lite0 after its stages of 1/4, 1/8, 1/16 and 1/32 of the side."""

    channels = (24, 40, 112, 320)

    def __init__(self, side: int) -> None:
        self.side = side

    def build(self) -> nn.Module:
        return EfficientNetLite(0, side=self.side)

    def maps(self, images: Tensor) -> list[Tensor]:
        stages: list[Tensor] = self.network.stages(images)
        return stages[-len(self.channels) :]


class DeiT(Backbone):
    """The distilled DeiT-B with patches of 16 pixels (Touvron et al. 2021) after four of its blocks.

    ``file``: its published weights; None downloads them once.
    """

    channels = (768, 768, 768, 768)

    def __init__(self, side: int, file: str | None) -> None:
        self.side, self.file = side, file

    def build(self) -> nn.Module:
        import timm  # a second of a program's start, for those who use it only

        path = downloaded(DEIT_URL) if self.file is None else Path(self.file).expanduser()
        if not path.is_file():
            raise ValueError(f"there is no weights file {path}: critic.deit_file takes that of {DEIT_URL}")
        network: nn.Module = timm.create_model(DEIT_ARCHITECTURE, pretrained=False, img_size=self.side)
        load_all(network, self.resampled(weights_in(path), network), path)
        return network

    @staticmethod
    def resampled(state: Mapping[str, Any], network: Any) -> dict[str, Tensor]:
        """``state`` with positions for as many patches as ``network`` has."""
        from timm.layers import resample_abs_pos_embed

        found = dict(state)
        size = network.patch_embed.grid_size
        if "pos_embed" in found:
            found["pos_embed"] = resample_abs_pos_embed(found["pos_embed"], list(size), num_prefix_tokens=2)
        return found

    def maps(self, images: Tensor) -> list[Tensor]:
        mean, deviation = (images.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        shown = (0.5 * (images + 1.0) - mean) / deviation
        network: Any = self.network
        tokens = network.forward_intermediates(shown, indices=list(DEIT_DEPTHS), intermediates_only=True)
        return [
            F.interpolate(one, scale_factor=scale, mode="bilinear", align_corners=False) if scale != 1 else one
            for one, scale in zip(tokens, DEIT_SCALES, strict=True)
        ]


def weights_in(path: Path) -> dict[str, Tensor]:
    """The weights of a file, which the published one has under "model"; ValueError where there are none."""
    content = read_tensors(path)
    state = content.get("model", content) if isinstance(content, dict) else content
    if not are_weights(state):
        raise ValueError(f"{path} holds no state dict of tensors")
    return dict(state)


def downloaded(url: str) -> Path:
    """The weights file of ``url`` in the cache of torch's hub, where it is fetched to once; ValueError without a network."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=DEIT_HASH)
        except OSError as error:
            raise ValueError(
                f"the weights of {DEIT} cannot be downloaded ({error}): fetch {url} and give critic.deit_file=<file>, or do "
                f"without it by critic.backbones=[{LITE}]"
            ) from error
    return path


def projected_critic(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int = 0,
    backbones: Sequence[str] = BACKBONES,
    side: int = 224,
    deit_file: str | None = None,
    **given: Any,
) -> ProjectedCritic:
    """The projected critic on the networks ``backbones``, which see images of ``side`` pixels: 224 as published.

    ``image_shape``: channels 1 or 3, height and width alike; ValueError for other images.
    """
    if image_shape[0] not in (1, 3) or image_shape[1] != image_shape[2]:
        raise ValueError(f"a projected critic sees square images, grey or in colour, got {list(image_shape)}")
    for name in backbones:
        check_choice("backbone", name, BACKBONES)
    if deit_file is not None and DEIT not in backbones:
        raise ValueError(f"critic.deit_file is of {DEIT}: name it among critic.backbones, or leave the file out")
    networks: dict[str, FeatureNetwork] = {
        name: Lite(side) if name == LITE else DeiT(side, deit_file) for name in backbones
    }
    return ProjectedCritic(num_classes=num_classes, backbones=networks, side=side, **given)
