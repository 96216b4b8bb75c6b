"""Holes filled by what was learnt from training images alone, without a network.

Both take images [B, C, H, W] in [-1, 1] and their ``known`` pixels, bool [B, 1, H, W], of which every image has at least
one, read nothing of the hidden pixels, and return the images with these filled.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from generative.inversion.fills import known_counts
from generative.rendering.images import as_floats

RIDGE = 1e-4  # variance that is added to each value, where values lie in [-1, 1]
MOST_VALUES = 3072  # of an image, as 32 x 32 pixels in colour have: their covariance takes 75 MB
ROWS_AT_ONCE = 2048  # training images whose values are summed or compared together
IMAGES_AT_ONCE = 512  # images with holes that are compared with them together
ROUNDING = 1e-9  # squared distances that differ by less count as equal


class ConditionalGaussian:
    """The mean of the hidden pixels given the known ones, under a Gaussian with mean mu and covariance S of training images.

    x_h = mu_h + S_hk (S_kk + 1e-4 I)^-1 (x_k - mu_k), in float64: the best linear fill (Bishop 2006, eq. 2.81). ``images``
    [N, C, H, W] are in [-1, 1] or uint8, at least two, of at most 3,072 values each; ValueError where they are not.
    """

    def __init__(self, images: Tensor) -> None:
        self.shape = images.shape[1:]
        if (size := math.prod(self.shape)) > MOST_VALUES:
            raise ValueError(
                f"images of {size:,} values have a covariance of {8e-9 * size**2:.1f} GB: take images of at most "
                f"{MOST_VALUES:,} values, such as 32 x 32 pixels in colour, or leave this fill out"
            )
        if len(images) < 2:
            raise ValueError(f"a covariance takes at least two training images, got {len(images)}")
        self.mean = torch.zeros(size, dtype=torch.float64, device=images.device)
        self.covariance = torch.zeros(size, size, dtype=torch.float64, device=images.device)
        for part in images.split(ROWS_AT_ONCE):
            self.mean += rows_of(part).sum(dim=0) / len(images)
        for part in images.split(ROWS_AT_ONCE):
            centred = rows_of(part) - self.mean
            self.covariance.addmm_(centred.T, centred, alpha=1 / (len(images) - 1))

    @cached_property
    def precision(self) -> Tensor:
        """P = (S + 1e-4 I)^-1, [D, D]."""
        return torch.cholesky_inverse(torch.linalg.cholesky(with_ridge(self.covariance)))

    def fill(self, images: Tensor, known: Tensor) -> Tensor:
        check_shape(images, self.shape)
        return self.mended(self.mean.view(self.shape).to(images).expand(images.shape), images, known)

    def mended(self, images: Tensor, originals: Tensor, known: Tensor) -> Tensor:
        """``images`` plus what they miss at the known pixels of ``originals``, carried into the hole as training images vary.

        y_h + S_hk (S_kk + 1e-4 I)^-1 (x_k - y_k) for images y: of the mean of the training images it makes :meth:`fill`. Where
        :func:`~generative.inversion.fills.without_seam` takes the smoothest residual, this takes the likeliest. Images that
        share a mask share a factorisation.
        """
        check_shape(originals, self.shape)
        known_counts(known)
        mended = torch.where(known, originals, images)
        masks, of_image = known[:, 0].unique(dim=0, return_inverse=True)
        for number, mask in enumerate(masks):
            if not mask.all():
                own = of_image == number
                missed = (originals[own][:, :, mask].double() - images[own][:, :, mask].double()).flatten(1)
                group = mended[own]
                group[:, :, ~mask] += self.carried(missed, mask).unflatten(1, (self.shape[0], -1)).to(group)
                mended[own] = group
        return mended

    def carried(self, missed: Tensor, mask: Tensor) -> Tensor:
        """Deviations [n, C K] at the K known pixels of a mask [H, W] -> the mean ones [n, C (H W - K)] at the others."""
        known = mask.expand(self.shape).flatten().to(self.mean.device)
        hidden = ~known
        deviations = missed.to(self.mean).T
        if hidden.sum() < known.sum():
            # The same is -P_hh^-1 P_hk d_k, where the smaller matrix is factorised.
            rows = self.precision[hidden]
            return -torch.cholesky_solve(rows[:, known] @ deviations, torch.linalg.cholesky(rows[:, hidden])).T
        rows = self.covariance[known]
        root = torch.linalg.cholesky(with_ridge(rows[:, known]))
        return (rows[:, hidden].T @ torch.cholesky_solve(deviations, root)).T


class Retrieval:
    """The hole of the training image that is nearest in the known pixels, in squared error; of equal ones the first.

    ``images`` [N, C, H, W] are in [-1, 1] or uint8, as which 60,000 of 32 x 32 grey pixels take 61 MB.
    """

    def __init__(self, images: Tensor) -> None:
        if len(images) == 0:
            raise ValueError("there is no training image to retrieve: give at least one")
        self.images = images

    def fill(self, images: Tensor, known: Tensor) -> Tensor:
        found = as_floats(self.images[self.nearest(images, known)])
        return torch.where(known, images, found.to(images))

    def nearest(self, images: Tensor, known: Tensor) -> Tensor:
        """The number of the training image that each image is filled from: int64 [B], on the device of the training images."""
        check_shape(images, self.images.shape[1:])
        known_counts(known)
        pairs = zip(images.split(IMAGES_AT_ONCE), known.split(IMAGES_AT_ONCE), strict=True)
        return torch.cat([self.nearest_of_part(*pair) for pair in pairs])

    def nearest_of_part(self, images: Tensor, known: Tensor) -> Tensor:
        """|m (x - t)|^2 = |m x|^2 - 2 (m x) . t + m . t^2 for mask m, in products and in float64: near ones are told apart.

        The first term is the same for all training images t, and is left out.
        """
        device = self.images.device
        masked = rows_of(torch.where(known, images, 0.0)).to(device)
        mask = rows_of(known.expand_as(images)).to(device)
        least = torch.full((len(images),), torch.inf, dtype=torch.float64, device=device)
        numbers = torch.zeros(len(images), dtype=torch.int64, device=device)
        for first in range(0, len(self.images), ROWS_AT_ONCE):
            rows = rows_of(self.images[first : first + ROWS_AT_ONCE])
            distances = (mask @ rows.square().T).addmm_(masked, rows.T, alpha=-2)
            nearest = distances.amin(dim=1)
            places = (distances <= nearest[:, None] + ROUNDING).byte().argmax(dim=1)  # the first
            is_nearer = nearest < least - ROUNDING
            numbers = torch.where(is_nearer, first + places, numbers)
            least = torch.where(is_nearer, nearest, least)
        return numbers


def rows_of(images: Tensor) -> Tensor:
    """Images [N, C, H, W], in [-1, 1] or uint8, as rows of float64 [N, D] in [-1, 1]."""
    return as_floats(images).flatten(1).double()


def with_ridge(matrix: Tensor) -> Tensor:
    return matrix + RIDGE * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def check_shape(images: Tensor, shape: torch.Size) -> None:
    if images.shape[1:] != shape:
        shapes = [" x ".join(map(str, sizes)) for sizes in (images.shape[1:], shape)]
        raise ValueError(
            f"images of {shapes[0]} values cannot be filled from training images of {shapes[1]}: bring them to it"
        )
