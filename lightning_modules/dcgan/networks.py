"""The networks of DCGAN (Radford et al. 2016) in the form of the base code that the priors' authors trained.

Read top to bottom: normalisation and its two kinds of statistics, the generator, the critic. Both are steps of stride 2
between an image of S x S pixels and a few positions: four steps, as published, make S / 16 x S / 16 of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import spectral_norm as with_spectral_norm

from generative.checks import check_at_least, check_choice
from generative.networks.labels import one_hot
from generative.networks.normalization import group_norm

MOST_STEPS = 4  # of stride 2
INITIAL_DEVIATION = 0.02  # of all weights
NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": partial(nn.BatchNorm2d, momentum=0.1, eps=1e-5),  # TensorFlow's decay of 0.9
    "group": partial(group_norm, least_channels=8),
    "none": lambda channels: nn.Identity(),
}


def steps_of(image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Steps of stride 2 and positions a side at their end, of square images of S x S pixels; ValueError for others.

    Four steps, as published for 64 pixels, or as many as leave two positions: 32 -> (4, 2), 16 -> (3, 2), 8 -> (2, 2).
    """
    _, height, width = image_shape
    fitting = [steps for steps in range(1, MOST_STEPS + 1) if height % 2**steps == 0 and height // 2**steps >= 2]
    if height != width or not fitting:
        raise ValueError(
            f"DCGAN takes square images of an even size from 4 pixels, such as 32 or 64, got {height} x {width}"
        )
    return fitting[-1], height // 2 ** fitting[-1]


def halving(in_channels: int, out_channels: int, *, kernel_size: int, bias: bool) -> nn.Conv2d:
    """A convolution of stride 2 that halves an even size."""
    padding = kernel_size - 3
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride=2, padding=padding, bias=bias)


def doubling(in_channels: int, out_channels: int, *, kernel_size: int, bias: bool) -> nn.ConvTranspose2d:
    """A transposed convolution of stride 2 that doubles a size."""
    padding, more = kernel_size - 3, kernel_size - 4
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size, stride=2, padding=padding, output_padding=more, bias=bias
    )


def initialize(network: nn.Module) -> None:
    """Weights N(0, 0.02^2) and biases 0; normalisations stay at 1 and 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """For a time each batch norm of a ``network`` in evaluation mode normalises a batch by its own mean and variance.

    The running averages stay as they are.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    kept = [(layer.running_mean, layer.running_var) for layer in layers]
    try:
        for layer in layers:
            layer.running_mean, layer.running_var = None, None
        yield
    finally:
        for layer, (mean, variance) in zip(layers, kept, strict=True):
            layer.running_mean, layer.running_var = mean, variance


class Generator(nn.Module):
    """Latents [B, latent_dim] and labels [B] -> images [B, C, S, S] in [-1, 1].

    A linear layer to a few positions of up to 8 ``width`` channels, then transposed convolutions
    that halve the channels down to ``width``, and one to the image. With classes the label enters beside the latent, as one
    of ``num_classes`` numbers that is 1 (eq. 2.4).
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 0,
        latent_dim: int = 100,
        width: int = 64,
        kernel_size: int = 5,
        bias: bool = True,
        normalization: str = "batch",
    ) -> None:
        super().__init__()
        check_choice("normalization", normalization, tuple(NORMALIZATIONS))
        check_choice("kernel_size", kernel_size, (4, 5))
        check_at_least(1, latent_dim=latent_dim, width=width)
        (num_steps, positions), norm = steps_of(image_shape), NORMALIZATIONS[normalization]
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.normalization = normalization
        widths = [2**step * width for step in reversed(range(num_steps))]
        self.linear = nn.Linear(latent_dim + num_classes, widths[0] * positions**2, bias=bias)
        self.unflatten = nn.Unflatten(1, (widths[0], positions, positions))
        self.norms = nn.ModuleList(norm(channels) for channels in widths)
        self.doublings = nn.ModuleList(
            doubling(a, b, kernel_size=kernel_size, bias=bias) for a, b in itertools.pairwise([*widths, image_shape[0]])
        )
        initialize(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.num_classes:
            z = torch.cat([z, one_hot(labels, num_classes=self.num_classes, like=z)], dim=1)
        h = self.unflatten(self.linear(z))
        for norm, double in zip(self.norms, self.doublings, strict=True):
            h = double(F.relu(norm(h)))
        return h.tanh()


class Critic(nn.Module):
    """Images [B, C, S, S] in [-1, 1] and labels [B] -> logits [B], or features [B, num_outputs] for a learned kernel.

    Convolutions of stride 2 to ``width`` channels (without normalisation), 2, 4 and 8 ``width``, and a linear layer. With
    classes the label enters as ``num_classes`` more channels, that of its class 1 everywhere (eq. 2.4). Under
    ``spectral_norm`` every layer has a largest singular value of 1.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 0,
        num_outputs: int = 1,
        width: int = 64,
        kernel_size: int = 5,
        bias: bool = True,
        normalization: str = "batch",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        check_choice("normalization", normalization, tuple(NORMALIZATIONS))
        check_choice("kernel_size", kernel_size, (4, 5))
        check_at_least(1, num_outputs=num_outputs, width=width)
        (num_steps, positions), norm = steps_of(image_shape), NORMALIZATIONS[normalization]
        self.num_classes = num_classes
        self.num_outputs = num_outputs
        widths = [image_shape[0] + num_classes, *(2**step * width for step in range(num_steps))]
        self.halvings = nn.ModuleList(
            halving(a, b, kernel_size=kernel_size, bias=bias) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList([nn.Identity(), *(norm(channels) for channels in widths[2:])])
        # A kernel sees differences of features alone: the gradient of their bias would be nothing but rounding.
        self.linear = nn.Linear(widths[-1] * positions**2, num_outputs, bias=bias and num_outputs == 1)
        initialize(self)
        if spectral_norm:
            for layer in [*self.halvings, self.linear]:
                with_spectral_norm(layer)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        h = images
        if self.num_classes:
            channels = one_hot(labels, num_classes=self.num_classes, like=images)[:, :, None, None]
            h = torch.cat([h, channels.expand(-1, -1, *images.shape[2:])], dim=1)
        for halve, norm in zip(self.halvings, self.norms, strict=True):
            h = F.leaky_relu(norm(halve(h)), 0.2)
        outputs = self.linear(h.flatten(1))
        return outputs[:, 0] if self.num_outputs == 1 else outputs
