"""Deep geometric moments as the critic of a GAN: what it scores is measured over the whole grid, at places that it chooses.

Without batch norm and dropout, so that an image's score and its gradient are its own but for the minibatch deviation.
Ours, not the chapter's, which has classifiers only.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generative.networks.critic import minibatch_deviation
from lightning_modules.dgm.layers import Residual
from lightning_modules.dgm.networks import DGM


@torch.no_grad()
def initialize_without_norms(network: DGM) -> None:
    """Weights by which activations keep their size where no norm sees to it: He et al. 2015, biases 0.

    The last layer of a residual branch starts smaller by the root of the number of branches, whose sums would grow
    (Zhang et al. 2019).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    branches = [module for module in network.modules() if isinstance(module, Residual)]
    for branch in branches:
        last = [module for module in branch.modules() if isinstance(module, nn.Conv2d)][-1]
        last.weight /= math.sqrt(len(branches))


class DGMCritic(nn.Module):
    """Images [B, C, H, W] in [-1, 1] and labels [B] -> logits [B].

    The moments of the last level and one channel of minibatch deviation (``group_size = 0`` leaves it out) enter a
    hidden layer; the label enters as an inner product with its output (projection, Miyato and Koyama 2018). ``blocks``,
    ``block``, ``patch_size``, ``variant``, ``affine``, ``moments``: as in :class:`DGM`.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 0,
        channels: int = 32,
        blocks: list[int] | None = None,
        block: str = "basic",
        patch_size: int = 1,
        variant: str = "tables",
        affine: bool = True,
        moments: bool = True,
        group_size: int = 4,
    ) -> None:
        super().__init__()
        self.network = DGM(
            image_channels=image_shape[0],
            num_classes=1,
            channels=channels,
            blocks=[1, 1, 1] if blocks is None else blocks,
            block=block,
            patch_size=patch_size,
            variant=variant,
            affine=affine,
            moments=moments,
            normalization="none",
            dropout=0.0,
        )
        self.network.check_image_size(*image_shape[1:])
        initialize_without_norms(self.network)
        self.group_size = group_size
        self.hidden = nn.Linear(channels + (group_size > 0), channels)
        self.class_embedding = nn.Embedding(num_classes, channels) if num_classes > 0 else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.network.features(images)
        if self.group_size > 0:
            h = minibatch_deviation(h[:, :, None, None], group_size=self.group_size)[:, :, 0, 0]
        h = F.leaky_relu(self.hidden(h), 0.2)
        logits = self.network.classify(h)[:, 0]
        if self.class_embedding is not None:
            if labels is None:
                raise ValueError("this critic is conditional: give a label for each image")
            logits = logits + (h * self.class_embedding(labels)).sum(dim=1) / math.sqrt(h.shape[1])
        return logits
