"""Eq. 6, what ReGene's decoder learns by: l1 MAE + l2 (1 - SSIM) + l3 a perceptual term, with weights from a schedule.

Images are in [0, 1] here, so that an MAE is a share of their range.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.precision import at_least_float32, full_precision

SSIM_WINDOW = 11  # pixels a side (Wang et al. 2004), as all of these
SSIM_DEVIATION = 1.5  # of the Gaussian, in pixels
C1, C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 at the range L = 1


@dataclass(frozen=True)
class Stage:
    """Weights of eq. 6's terms and the learning rate ``lr`` from ``from_kimg`` thousand images seen on.

    ValueError for numbers that are negative or not finite, for three weights of 0 and a rate of 0.
    """

    from_kimg: float
    mae: float
    ssim: float
    perceptual: float
    lr: float

    def __post_init__(self) -> None:
        check_at_least(
            0, from_kimg=self.from_kimg, mae=self.mae, ssim=self.ssim, perceptual=self.perceptual, lr=self.lr
        )
        if self.mae == self.ssim == self.perceptual == 0:
            raise ValueError(
                f"a stage needs a term with a weight above 0, and the one from {self.from_kimg} kimg has none"
            )
        if self.lr == 0:
            raise ValueError(
                f"lr must be above 0, got 0 in the stage from {self.from_kimg} kimg: nothing would be learnt"
            )

    @property
    def first_image(self) -> int:
        """How many images were seen when it begins."""
        return round(1000 * self.from_kimg)


def stage_at(stages: Sequence[Stage], images_seen: int) -> Stage:
    """The last of ``stages`` that has begun by ``images_seen``; ValueError unless they begin at 0 and follow each other."""
    begins = [stage.first_image for stage in stages]
    if not begins or begins[0] != 0:
        first = f"the first begins at {stages[0].from_kimg} kimg" if stages else "there are none"
        raise ValueError(f"stages begin with one from 0 kimg, and {first}: set its from_kimg to 0")
    if any(later <= earlier for earlier, later in itertools.pairwise(begins)):
        kimg = ", ".join(str(stage.from_kimg) for stage in stages)
        raise ValueError(
            f"stages follow each other in images seen, and these begin at {kimg} kimg: sort them by from_kimg"
        )
    return [stage for stage in stages if stage.first_image <= images_seen][-1]


def decoder_loss(
    drawn: Tensor,
    originals: Tensor,
    stage: Stage,
    *,
    window: int = SSIM_WINDOW,
    layer: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Eq. 6 of images [B, C, H, W] in [0, 1]: ``total`` and its terms before they are weighted, each the mean over images.

    A term of weight 0 is not computed and not named. ``window`` is that of :func:`ssim_term`, ``layer`` that of
    :func:`perceptual_term`; ValueError where a stage weighs the perceptual term and there is no layer.
    """
    assert drawn.shape == originals.shape, f"{tuple(drawn.shape)} and {tuple(originals.shape)} are no pairs of images"
    terms: dict[str, Tensor] = {}
    if stage.mae > 0:
        terms["mae"] = mean_absolute_error(drawn, originals).mean()
    if stage.ssim > 0:
        terms["ssim"] = ssim_term(drawn, originals, window=window).mean()
    if stage.perceptual > 0:
        if layer is None:
            raise ValueError(
                f"the stage from {stage.from_kimg} kimg gives the perceptual term a weight of {stage.perceptual}, "
                "and there is no layer to compare in: name an extractor, or set that weight to 0"
            )
        terms["perceptual"] = perceptual_term(drawn, originals, layer).mean()
    weighted = [getattr(stage, name) * term for name, term in terms.items()]
    return {**terms, "total": torch.stack(weighted).sum()}


def mean_absolute_error(drawn: Tensor, originals: Tensor) -> Tensor:
    """Of each pair of images [B, C, H, W], over pixels and channels, in the units of their range: [B]."""
    return (at_least_float32(drawn) - at_least_float32(originals)).abs().mean(dim=(1, 2, 3))


def perceptual_term(drawn: Tensor, originals: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean absolute difference of activations of images [B, C, H, W] in [0, 1]: [B].

    ``layer`` takes images in [-1, 1], as all networks here do, and gives activations [B, K, h, w]: the first convolution of
    a network that judges nothing afterwards.
    """
    return mean_absolute_error(layer(2.0 * drawn - 1.0), layer(2.0 * originals - 1.0))


def ssim_term(drawn: Tensor, originals: Tensor, window: int = SSIM_WINDOW) -> Tensor:
    """1 - SSIM (Wang et al. 2004) of images [B, C, H, W] in [0, 1], over channels and the places whose window fits: [B].

    The window is a Gaussian of deviation 1.5 over ``window`` x ``window`` pixels. ValueError for images smaller than that.
    Always in float32 at least: the variances are small differences of large numbers. torchmetrics' SSIM has the same map,
    but its mean counts the borders, where windows see reflected pixels, and its Gaussian window has 11 pixels whatever is
    asked for, so that images of 8 pixels have none.
    """
    check_window(window, drawn.shape)
    with full_precision(drawn.device.type):
        x, y = at_least_float32(drawn), at_least_float32(originals)
        mean_x, mean_y, square_x, square_y, product = windowed(torch.stack([x, y, x * x, y * y, x * y]), window)
        return dissimilarity(Moments(mean_x, square_x), Moments(mean_y, square_y), product)


class Moments(NamedTuple):
    """Means of images and of their squares under the window, [B, C, h, w] both."""

    mean: Tensor
    square: Tensor


def dissimilarity(x: Moments, y: Moments, product: Tensor) -> Tensor:
    """1 - SSIM of pairs, from their moments and the means of their products [B, C, h, w]: [B]. One side may be of one image."""
    variances = x.square - x.mean.square() + y.square - y.mean.square()
    covariance = product - x.mean * y.mean
    likeness = (2.0 * x.mean * y.mean + C1) * (2.0 * covariance + C2)
    similarity = likeness / ((x.mean.square() + y.mean.square() + C1) * (variances + C2))
    return 1.0 - similarity.mean(dim=(1, 2, 3))


def check_window(window: int, shape: Sequence[int]) -> None:
    """ValueError unless ``window`` is odd and fits into images of a ``shape`` [..., H, W]."""
    height, width = shape[-2:]
    if window < 3 or window % 2 == 0:
        raise ValueError(f"ssim_window must be an odd number of at least 3 pixels, got {window}")
    if min(height, width) < window:
        most = min(height, width) - (min(height, width) + 1) % 2
        raise ValueError(
            f"images of {height} x {width} pixels are smaller than SSIM's window of {window}: "
            f"set ssim_window to {most} or less, or the stages' weight of ssim to 0"
        )


def windowed(maps: Tensor, window: int) -> Tensor:
    """Means of ``maps`` [..., H, W] under the Gaussian window at each place where it fits: [..., H - window + 1, W - ...].

    As products with two banded matrices, on a processor ten times as fast as convolutions of one channel.
    """
    down, across = (gaussian_band(side, window).to(maps) for side in maps.shape[-2:])
    return down @ maps @ across.mT


def gaussian_band(side: int, window: int) -> Tensor:
    """[side - window + 1, side], float64: row i holds the window, of sum 1, from column i on."""
    distances = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    weights = torch.exp(-0.5 * (distances / SSIM_DEVIATION).square())
    rows = torch.arange(side - window + 1)[:, None]
    band = torch.zeros(len(rows), side, dtype=torch.float64)
    return band.scatter_(1, rows + torch.arange(window), (weights / weights.sum()).expand(len(rows), -1))
