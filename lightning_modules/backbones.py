"""Frozen networks whose feature maps a projected critic looks at, with the weights that they were published with."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.adversarial.projected import NUM_DEPTHS, ProjectedCritic
from generative.checks import check_choice
from generative.plain_data import are_weights, read_tensors
from metrics.features import EfficientNetLite, as_rgb, hash_of_file, load_all

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


class Backbone:
    """Images [B, 1 or 3, S, S] in [-1, 1] -> four maps, each half the size of the last, differentiable in the images.

    No module: its weights are neither trained nor kept in checkpoints, and follow the images to their device and type.
    ``weights``: the start of the hash of what it was loaded from.
    """

    weights: str

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval().requires_grad_(False)

    def __call__(self, images: Tensor) -> list[Tensor]:
        first = next(self.network.parameters())
        if first.device != images.device or first.dtype != images.dtype:
            self.network.to(images)
        return self.maps(as_rgb(images))

    def maps(self, images: Tensor) -> list[Tensor]:
        raise NotImplementedError


class Lite(Backbone):
    """EfficientNet-Lite0 after its stages of 1/4, 1/8, 1/16 and 1/32 of the side: 24, 40, 112 and 320 channels."""

    def __init__(self, side: int) -> None:
        extractor = EfficientNetLite(0, side=side)
        self.weights, self.stages = extractor.weights, extractor.stages
        super().__init__(extractor)

    def maps(self, images: Tensor) -> list[Tensor]:
        return self.stages(images)[-NUM_DEPTHS:]


class DeiT(Backbone):
    """The distilled DeiT-B with patches of 16 pixels (Touvron et al. 2021) after four of its blocks, from its weights file."""

    def __init__(self, side: int, path: Path) -> None:
        import timm  # a second of a program's start, for those who use it only

        if side % 32:
            raise ValueError(f"{DEIT} sees images of a multiple of 32 pixels, got critic.side={side}")
        network: Any = timm.create_model(DEIT_ARCHITECTURE, pretrained=False, img_size=side)
        load_all(network, self.resampled(weights_in(path), network), path)
        self.weights = hash_of_file(path)
        super().__init__(network)

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
    """The weights file of ``url`` in the cache of torch's hub, where it is fetched to once; OSError without a network."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=DEIT_HASH)
    return path


def backbones_of(names: Sequence[str], *, side: int, deit_file: str | None) -> dict[str, Backbone]:
    """The networks ``names`` for images of ``side`` pixels. One whose weights cannot be had is left out with a warning.

    ValueError for one that there is not, and where none is left.
    """
    for name in names:
        check_choice("backbone", name, BACKBONES)
    if deit_file is not None and DEIT not in names:
        raise ValueError(f"critic.deit_file is of {DEIT}: name it among critic.backbones, or leave the file out")
    found: dict[str, Backbone] = {}
    reasons = []
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
        for name in names:
            if name == LITE:
                found[name] = Lite(side)
                continue
            try:
                path = downloaded(DEIT_URL) if deit_file is None else Path(deit_file).expanduser()
            except OSError as error:
                reasons.append(
                    f"the critic does without {name}, whose weights cannot be downloaded ({error}): fetch {DEIT_URL} and give "
                    "critic.deit_file=<file>, or leave it out of critic.backbones"
                )
                continue
            if not path.is_file():
                raise ValueError(f"there is no weights file {path}: critic.deit_file takes that of {DEIT_URL}")
            found[name] = DeiT(side, path)
    if not found:
        raise ValueError("; ".join(reasons) or "critic.backbones names no network: give one or more")
    for reason in reasons:
        print(f"warning: {reason}", file=sys.stderr)
    return found


def projected_critic(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int = 0,
    backbones: Sequence[str] = BACKBONES,
    side: int = 224,
    deit_file: str | None = None,
    **given: Any,
) -> ProjectedCritic:
    """The projected critic on the networks ``backbones``, which see images of ``side`` pixels: 224 as published."""
    networks = backbones_of(backbones, side=side, deit_file=deit_file)
    return ProjectedCritic(
        image_shape=image_shape, num_classes=num_classes, backbones=dict(networks), side=side, **given
    )
