"""A projected critic (Sauer et al. 2021, 2022): small heads on frozen feature networks, mixed at random across channels and scales.

Read top to bottom: what is done to an image before it is looked at, the random mixing, a head, the critic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.accumulation import groups
from generative.adversarial.diff_augment import diff_augment, num_draws
from generative.checks import check_at_least
from generative.networks.spectral import spectral

LAST_SIDE = 8  # to which a head halves its maps
LAST_KERNEL = 4
MOST_WIDTH = 512
SLOPE = 0.2
COARSEST = 32  # pixels of an image that a place of the deepest maps stands for


class FeatureNetwork(Protocol):
    """A frozen network: images [B, C, S, S] in [-1, 1] -> maps [B, channels[k], S / (4 2^k), S / (4 2^k)] of four depths."""

    @property
    def channels(self) -> Sequence[int]: ...

    def __call__(self, images: Tensor) -> list[Tensor]: ...


def blurred(images: Tensor, *, sigma: float) -> Tensor:
    """Images [B, C, H, W] under a Gaussian of ``sigma`` pixels, cut at three of them; the border's pixels are repeated."""
    reach = math.floor(3 * sigma)
    if reach == 0:
        return images
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (places / sigma).square())
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def fading_sigma(kimg: float, *, start: float, fade_kimg: float) -> float:
    """The blur of a critic's inputs after ``kimg``: ``start`` at first, falling linearly to 0 at ``fade_kimg``."""
    return start * max(0.0, 1.0 - kimg / fade_kimg) if fade_kimg > 0 else 0.0


class GroupBatchNorm(nn.Module):
    """Batch norm over each group of ``group_size`` neighbours in the batch: the same on any number of ranks, and in parts.

    It keeps no moving statistics: a critic is only ever asked about batches.
    """

    def __init__(self, channels: int, *, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        grouped = groups(x, group_size=self.group_size)  # [G, group, C, H, W]
        centred = grouped - grouped.mean(dim=(1, 3, 4), keepdim=True)
        scaled = centred * (centred.square().mean(dim=(1, 3, 4), keepdim=True) + 1e-5).rsqrt()
        return scaled.flatten(0, 1) * self.weight[:, None, None] + self.bias[:, None, None]


class RandomMixing(nn.Module):
    """Maps of four depths mixed by random weights that never learn: across channels, then from the deepest to the first.

    ``channels`` of the maps that come in. Map k goes to ``width`` 2^k channels by 1 x 1 weights. From the deepest on each
    is added to what comes from below, enlarged twice and brought to the channels of the next, of the first to its own:
    ``out_channels`` are width times 1, 1, 2 and 4, on maps twice the size of those that came in.
    """

    def __init__(self, channels: Sequence[int], *, width: int) -> None:
        super().__init__()
        own = [width * 2**k for k in range(len(channels))]
        self.out_channels = [own[0], *own[:-1]]
        self.across_channels = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, own, strict=True))
        self.across_scales = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(own, self.out_channels, strict=True))
        for layer in (*self.across_channels, *self.across_scales):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.requires_grad_(False)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """[B, C_k, S_k, S_k] each -> [B, out_channels[k], 2 S_k, 2 S_k] each."""
        mixed: list[Tensor] = []
        for own, across, onward in reversed(
            [*zip(maps, self.across_channels, self.across_scales, strict=True)],
        ):
            x = across(own)
            if mixed:
                x = x + F.interpolate(mixed[-1], size=x.shape[2:], mode="bilinear", align_corners=True)
            enlarged = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            mixed.append(onward(enlarged))
        return mixed[::-1]


class Head(nn.Module):
    """Maps [B, C, S, S] of one depth -> logits [B, L]: halved down to 8 x 8 by strided convolutions, then a 4 x 4 convolution.

    ``num_classes`` above 0: the logit at each place is the inner product of its values with the image's class, embedded.
    """

    def __init__(
        self, channels: int, side: int, *, num_classes: int, class_dim: int, group_size: int, feature_dim: int
    ) -> None:
        super().__init__()
        widths = [channels]
        while side > LAST_SIDE:
            side //= 2
            widths.append(min(2 * widths[-1], MOST_WIDTH))
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [spectral(nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False))]
            layers += [GroupBatchNorm(b, group_size=group_size), nn.LeakyReLU(SLOPE)]
        self.body = nn.Sequential(*layers)
        kernel = min(LAST_KERNEL, side)
        self.num_logits = (side - kernel + 1) ** 2
        conditional = num_classes > 0
        self.last = spectral(nn.Conv2d(widths[-1], class_dim if conditional else 1, kernel, bias=False))
        self.scale = 1.0 / math.sqrt(class_dim)
        self.embedding = ClassEmbedding(num_classes, class_dim, feature_dim=feature_dim) if conditional else None

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        values: Tensor = self.last(self.body(maps)).flatten(2)
        if self.embedding is None:
            return values[:, 0]
        if labels is None:
            raise ValueError("this critic is conditional: give a label for each image")
        return (values * self.embedding(labels)[:, :, None]).sum(dim=1) * self.scale


class ClassEmbedding(nn.Module):
    """Labels [B] -> [B, dim]: a learned layer on what is known of the classes, ``feature_dim`` numbers each, or learned rows.

    ``given`` [num_classes, feature_dim] is filled before training, as with the mean features of each class's images.
    """

    given: Tensor

    def __init__(self, num_classes: int, dim: int, *, feature_dim: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.register_buffer("given", torch.zeros(num_classes, feature_dim))
        self.rows = nn.Linear(feature_dim, dim) if feature_dim else nn.Embedding(num_classes, dim)

    def forward(self, labels: Tensor) -> Tensor:
        found: Tensor = self.rows(self.given[labels] if self.feature_dim else labels)
        return found


class Branch(nn.Module):
    """What looks at one feature network of ``channels``: the mixing of its maps, and a head for each depth."""

    def __init__(
        self,
        channels: Sequence[int],
        *,
        side: int,
        width: int,
        num_classes: int,
        class_dim: int,
        group_size: int,
        feature_dim: int,
    ) -> None:
        super().__init__()
        self.mixing = RandomMixing(channels, width=width)
        facts = {
            "num_classes": num_classes, "class_dim": class_dim, "group_size": group_size, "feature_dim": feature_dim,
        }  # fmt: skip
        last = len(channels) - 1
        heads = [
            Head(own, 2 * (side * 2 ** (last - depth) // COARSEST), **facts)
            for depth, own in enumerate(self.mixing.out_channels)
        ]
        self.num_logits = [head.num_logits for head in heads]
        self.heads = nn.ModuleList(heads)

    def forward(self, maps: Sequence[Tensor], labels: Tensor | None) -> list[Tensor]:
        """Logits [B, num_logits[k]] of each depth."""
        return [head(mixed, labels) for head, mixed in zip(self.heads, self.mixing(maps), strict=True)]


class ProjectedCritic(nn.Module):
    """Images [B, C, S, S] in [-1, 1] and labels [B] -> logits [B, L] of the heads of all depths of all feature networks.

    ``backbones``: frozen networks by name; images reach them with ``side`` pixels, bilinearly. Every head counts alike:
    its logits are repeated so that all have as many, and a loss that is a mean over logits is the mean of the heads'.
    ``policies``: what :func:`diff_augment` does to an image before, by numbers given with it, ``num_draws`` an image. Before
    that ``blur_sigma`` pixels of blur fade away over the first ``blur_kimg`` thousand images. ``group_size``: of the batch
    norm. ``feature_dim``: numbers that are known of each class, see :meth:`know_classes`; 0: rows are learned.
    """

    any_size = True  # of images: they are resized

    def __init__(
        self,
        *,
        num_classes: int = 0,
        backbones: dict[str, FeatureNetwork],
        side: int,
        width: int = 64,
        class_dim: int = 64,
        group_size: int = 8,
        policies: Sequence[str] = ("color", "translation", "cutout"),
        translation: float = 0.125,
        cutout: float = 0.2,
        blur_sigma: float = 2.0,
        blur_kimg: float = 300.0,
        feature_dim: int = 0,
    ) -> None:
        super().__init__()
        check_at_least(1, width=width, class_dim=class_dim, group_size=group_size)
        check_at_least(0, translation=translation, cutout=cutout, blur_sigma=blur_sigma, blur_kimg=blur_kimg)
        if side < COARSEST or side % COARSEST:
            raise ValueError(f"critic.side must be a multiple of {COARSEST} pixels, got {side}")
        if not backbones:
            raise ValueError("a projected critic needs a feature network: name one or more in critic.backbones")
        self.backbones = backbones  # no modules: neither trained, nor kept in checkpoints
        self.side, self.group_size = side, group_size
        self.policies, self.translation, self.cutout = tuple(policies), translation, cutout
        self.num_draws = num_draws(self.policies)
        self.blur_sigma, self.blur_kimg = blur_sigma, blur_kimg
        facts: dict[str, Any] = {
            "num_classes": num_classes, "class_dim": class_dim, "group_size": group_size, "feature_dim": feature_dim,
        }  # fmt: skip
        branches = {
            name: Branch(network.channels, side=side, width=width, **facts) for name, network in backbones.items()
        }
        self.num_logits = math.lcm(*(count for branch in branches.values() for count in branch.num_logits))
        self.branches = nn.ModuleDict(branches)

    def know_classes(self, features: Tensor) -> None:
        """Condition on ``features`` [num_classes, feature_dim]; ValueError where they are of other classes."""
        for module in self.modules():
            if isinstance(module, ClassEmbedding):
                if features.shape != module.given.shape:
                    wanted, got = (" x ".join(map(str, one.shape)) for one in (module.given, features))
                    raise ValueError(f"the critic knows its classes by {wanted} numbers, got {got}")
                module.given.copy_(features)

    def prepared(self, images: Tensor, uniform: Tensor | None, *, kimg: float | None) -> Tensor:
        """What the feature networks are shown of images [B, C, S, S] after ``kimg``: blurred, changed at random, resized."""
        if kimg is not None:
            images = blurred(images, sigma=fading_sigma(kimg, start=self.blur_sigma, fade_kimg=self.blur_kimg))
        if uniform is not None:
            images = diff_augment(
                images, uniform, policies=self.policies, translation=self.translation, cutout=self.cutout
            )
        if images.shape[-1] == self.side:
            return images
        antialias = images.shape[-1] > self.side
        return F.interpolate(
            images, size=(self.side, self.side), mode="bilinear", align_corners=False, antialias=antialias
        )

    def forward(
        self, images: Tensor, labels: Tensor | None = None, *, uniform: Tensor | None = None, kimg: float | None = None
    ) -> Tensor:
        """``uniform`` [B, num_draws] and ``kimg`` in training; without them images are seen as they are."""
        shown = self.prepared(images, uniform, kimg=kimg)
        found = []
        for name, network in self.backbones.items():
            for logits in self.branches[name](network(shown), labels):
                found.append(logits.repeat_interleave(self.num_logits // logits.shape[1], dim=1))
        return torch.cat(found, dim=1)
