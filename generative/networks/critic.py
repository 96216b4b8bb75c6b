"""A small convolutional critic with a projected class label, for images of 8 x 8 and more."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from generative.accumulation import groups


def minibatch_deviation(features: Tensor, *, group_size: int, eps: float = 1e-8) -> Tensor:
    """Mean standard deviation over each group of images, as one more channel: [B, C, H, W] -> [B, C + 1, H, W].

    A group is ``group_size`` neighbours in the batch, so a batch that is cut over ranks at a multiple of it
    gives what the whole batch gives. ``eps`` stands inside the root: a constant pixel would have an infinite
    gradient without it.
    """
    grouped = groups(features, group_size=group_size)
    # Not Tensor.var: over a leading dimension it is ten times slower on the CPU than these three lines.
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1) + eps).sqrt().flatten(1).mean(dim=1)
    channel = deviation.repeat_interleave(group_size).view(-1, 1, 1, 1).expand(-1, 1, *features.shape[2:])
    return torch.cat([features, channel], dim=1)


class ConvCritic(nn.Module):
    """Images [B, C, S, S] in [-1, 1] and labels [B] -> logits [B].

    Strided convolutions halve the image down to 4 x 4; the label enters as an inner product with the last
    features (projection, Miyato and Koyama 2018). ``group_size = 0`` leaves the minibatch deviation out.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 0,
        width: int = 32,
        max_width: int = 512,
        group_size: int = 4,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        channels, height, size = image_shape
        num_halvings = round(math.log2(size / 4))
        if height != size or 4 * 2**num_halvings != size or num_halvings < 1:
            raise ValueError(f"image size must be 8, 16, 32, ... and square, got {height} x {size}")
        norm = with_spectral_norm if spectral_norm else nn.Identity()
        self.group_size = group_size
        widths = [min(width * 2**i, max_width) for i in range(num_halvings + 1)]
        self.stem = norm(nn.Conv2d(channels, width, 3, padding=1))
        self.halvings = nn.ModuleList(
            norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in itertools.pairwise(widths)
        )
        last = widths[-1]
        self.final = norm(nn.Conv2d(last + (group_size > 0), last, 3, padding=1))
        self.hidden = norm(nn.Linear(last * 4 * 4, last))
        self.logit = norm(nn.Linear(last, 1))
        self.class_embedding = norm(nn.Embedding(num_classes, last)) if num_classes > 0 else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        h = F.leaky_relu(self.stem(images), 0.2)
        for halving in self.halvings:
            h = F.leaky_relu(halving(h), 0.2)
        if self.group_size > 0:
            h = minibatch_deviation(h, group_size=self.group_size)
        h = F.leaky_relu(self.final(h), 0.2)
        h = F.leaky_relu(self.hidden(h.flatten(1)), 0.2)
        logits = self.logit(h)[:, 0]
        if self.class_embedding is not None:
            if labels is None:
                raise ValueError("this critic is conditional: give a label for each image")
            logits = logits + (h * self.class_embedding(labels)).sum(dim=1) / math.sqrt(h.shape[1])
        return logits
