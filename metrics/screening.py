"""Scores by which synthetic images of defects are screened: what a person would throw away should score high.

Both look at an image beside what it was made from, and need no label: the change of the background, which should have stayed
as it was, and how far a drawn defect lies from the few real ones.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from metrics.functional import nearest_rows, squared_radii


def background_distortion(images: Tensor, twins: Tensor, masks: Tensor, *, dilation: int = 3) -> Tensor:
    """mean |I - T| over the pixels that are farther than ``dilation`` from the mask: of images [N, C, H, W] their scores [N].

    ``twins`` [N, C, H, W] are the same pictures without a defect, in the same range; ``masks`` [N, H, W] are set (nonzero)
    where the defect is. The distance of pixels is the larger of rows and columns, so that a mask grows by squares; a border
    of some pixels leaves out the defect's own blur and shadow. In the unit of the images, and 0 for an untouched background.
    ValueError where shapes disagree, or where a mask leaves no background.
    """
    if images.ndim != 4 or images.shape != twins.shape or masks.shape != (len(images), *images.shape[2:]):
        raise ValueError(
            f"images and twins must be [N, C, H, W] and masks [N, H, W], got {tuple(images.shape)}, {tuple(twins.shape)} and "
            f"{tuple(masks.shape)}"
        )
    if dilation < 0:
        raise ValueError(f"dilation must be at least 0 pixels, got {dilation}")
    grown = F.max_pool2d((masks != 0).float()[:, None], 2 * dilation + 1, stride=1, padding=dilation)
    outside = (grown == 0).double()
    counts = outside.sum(dim=(1, 2, 3))
    if not counts.all():
        number = int((counts == 0).nonzero()[0])
        raise ValueError(
            f"mask number {number}, grown by {dilation} pixels, leaves no background to compare: take a larger patch, or a smaller "
            "dilation"
        )
    change = (images.double() - twins.double()).abs().mean(dim=1, keepdim=True)
    return (change * outside).sum(dim=(1, 2, 3)) / counts


def neighbour_ratio(features: Tensor, real: Tensor, *, chunk: int = 1024) -> Tensor:
    """min_j |f - r_j| / (1/N sum_i min_{j != i} |r_i - r_j|): of the features f [M, D] of drawn crops their scores [M].

    ``real`` [N, D] are the features of the real defects of the class, by the same extractor. About 1 where a crop lies as
    near to a real one as they do to one another, 0 for a copy, large for what is foreign to them. ValueError for fewer than
    two real ones, for copies of one, and for other numbers of features.
    """
    if features.ndim != 2 or real.ndim != 2 or features.shape[1] != real.shape[1]:
        raise ValueError(
            f"features and real must be rows of as many features, got {tuple(features.shape)} and {tuple(real.shape)}"
        )
    if len(real) < 2:
        raise ValueError(f"how near real defects lie to one another needs at least two of them, got {len(real)}")
    real, features = real.double(), features.double()
    centre = real.mean(dim=0)  # distances stay, and those of near copies lose less to cancellation
    real, features = real - centre, features - centre
    among = squared_radii(real, num_neighbours=1, chunk=chunk).sqrt().mean()
    if float(among) == 0:
        raise ValueError("all real defects have another one with the very same features: take copies out")
    return nearest_rows(features, real, chunk=chunk)[0] / among
