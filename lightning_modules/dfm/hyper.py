"""From a latent to all coefficients of a network of Fourier layers (thesis, section 4.2.2), and from them to an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from generative.checks import check_at_least, check_choice
from generative.precision import at_least_float32
from lightning_modules.dfm.half_angle import half_angle_layer
from lightning_modules.dfm.layer import fourier_layer
from lightning_modules.dfm.networks import Shape, colours
from lightning_modules.dfm.start import RECIPES, first_scales

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU}
FIRST, LAST = 0.25, 0.3  # of the base that all images share: see `first_scales`
CHI, GROWTH = 1.0, 32.0  # of a layer at most, and of the mean squared derivative over all hidden layers at most
FASTER_FROM = (
    6  # width, from which the half-angle form of many small networks is: 1.5 times on a core at 6, 0.6 times at 4
)
PRINTED_VARIANCE = 2e-2  # of all weights and latents on MNIST; 3e-2 on CIFAR-10 (section 5.1.3)


def perceptron(sizes: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers between ``sizes``, two or more, with an activation between them; normal weights of He, biases 0."""
    check_choice("activation", activation, ACTIVATIONS)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def chi_of(depth: int) -> float:
    """The growth chi of each of ``depth - 1`` hidden layers: 1 up to depth 6, then so that all grow no more than there.

    (1 + chi)^(depth - 1) is what a base of this depth multiplies mean squared derivatives by; at 512, of depth 10 with
    chi 1, small moves of a latent are chaos and training diverges.
    """
    return min(CHI, GROWTH ** (1.0 / max(depth - 1, 1)) - 1.0)


class CoefficientDecoder(nn.Module):
    """Latents [B, latent_dim] -> all coefficients of a network each, [B, shape.num_coefficients], in float32 at least.

    ``recipe: ours``: scale_l (base + ``amplitude`` MLP(z)), where the base is one network that all images share and learn,
    normal at first, and scale_l starts layer l so that it trains. The MLP's last layer starts at 1 / sqrt(2) of the others.
    ``recipe: printed``: MLP(z) alone, whose weights are normal of ``variance`` at first and whose biases are 0.
    ``widths``: the layers of the MLP between both ends. ValueError for a recipe or an activation that there is not.
    """

    def __init__(
        self,
        *,
        shape: Shape,
        latent_dim: int,
        widths: list[int],
        recipe: str = "ours",
        activation: str = "silu",
        amplitude: float = 1.0,
        variance: float = PRINTED_VARIANCE,
    ) -> None:
        super().__init__()
        check_choice("recipe", recipe, RECIPES)
        check_at_least(1, latent_dim=latent_dim, **{f"widths[{place}]": width for place, width in enumerate(widths)})
        check_at_least(0, amplitude=amplitude, variance=variance)
        self.latent_dim, self.amplitude = latent_dim, amplitude
        self.layers = perceptron([latent_dim, *widths, shape.num_coefficients], activation)
        self.base: nn.Parameter | None = None
        if recipe == "printed":
            for weight in (weight for name, weight in self.layers.named_parameters() if name.endswith("weight")):
                nn.init.normal_(weight, std=math.sqrt(variance))
            return
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.div_(math.sqrt(2.0))
        self.base = nn.Parameter(torch.randn(shape.num_coefficients))
        scales = first_scales(shape, first=FIRST, chi=chi_of(shape.depth), last=LAST)
        counts = [rows * columns for rows, columns in shape.matrices]
        of_layers = [torch.full((count,), scale) for count, scale in zip(counts, scales, strict=True)]
        self.register_buffer("scales", torch.cat(of_layers))

    scales: Tensor

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"latents are [B, {self.latent_dim}] here, got {list(z.shape)}: give those of this model")
        numbers = at_least_float32(self.layers(z))
        if self.base is None:
            return numbers
        return self.scales * (self.base + self.amplitude * numbers)


def pixels(numbers: Tensor, points: Tensor, shape: Shape) -> Tensor:
    """What the networks of coefficients [B, num_coefficients] say at ``points`` [P, 2] or [B, P, 2]: [B, P, channels].

    Never in half precision, in which hidden values of a few periods would lose their phase.
    """
    layer = half_angle_layer if shape.width >= FASTER_FROM else fourier_layer
    with torch.autocast(numbers.device.type, enabled=False):
        return colours(points, shape.split(numbers), shape, layer)
