"""Holes filled without a generator: what any inpainting is to be compared with.

Each takes images [B, C, H, W] and their ``known`` pixels, bool [B, 1, H, W], of which every image has at least one, and
returns the images with the others filled. Nothing of the hidden pixels is read.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from torch import Tensor

from generative.rendering.images import from_uint8, to_uint8

RADIUS = 3  # pixels: the neighbourhood that OpenCV's fills look at
REMEDY = 'pip install -e ".[inpainting]"'


def mean_fill(images: Tensor, known: Tensor) -> Tensor:
    """The mean of the known pixels of each channel, everywhere in the hole."""
    sums = torch.where(known, images, 0.0).sum(dim=(2, 3), keepdim=True)
    return torch.where(known, images, sums / known_counts(known))


def harmonic_fill(images: Tensor, known: Tensor) -> Tensor:
    """The discrete Laplace equation in the hole: each hidden pixel is the mean of its neighbours in the image.

    Known pixels are the boundary; neighbours outside the image are left out (the natural boundary). One sparse
    factorisation in float64 an image serves its channels.
    """
    known_counts(known)
    filled = images.clone()
    for image, mask, result in zip(images, known[:, 0], filled, strict=True):
        if not mask.all():
            values = solved(image[:, mask].double().cpu().numpy(), mask.cpu().numpy())
            result[:, ~mask] = torch.from_numpy(values).to(result)
    return filled


def biharmonic_fill(images: Tensor, known: Tensor) -> Tensor:
    """The discrete biharmonic equation in the hole (Damelin and Hoang 2018), in float64, by scikit-image.

    Values are clamped to the range of the known pixels of their channel. Stencils are cut off at the border of the image,
    so a ramp is reproduced where the hole stays two pixels away from it. ValueError where scikit-image is missing.
    """
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError as error:
        raise ValueError(f"the biharmonic fill needs scikit-image ({error}): {REMEDY}") from error

    def fill(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        return inpaint_biharmonic(image, hidden, channel_axis=0)

    return filled_one_by_one(images, known, fill)


def telea_fill(images: Tensor, known: Tensor) -> Tensor:
    """Fast marching from the border of the hole inwards (Telea 2004), radius 3, by OpenCV.

    OpenCV computes in 8 bits: known values are rounded to 256 levels for it, and what it fills is one of them. ValueError
    where OpenCV is missing.
    """
    return filled_by_opencv(images, known, "INPAINT_TELEA")


def navier_stokes_fill(images: Tensor, known: Tensor) -> Tensor:
    """Lines of equal brightness continued into the hole as a fluid flows (Bertalmio et al. 2001), radius 3, by OpenCV.

    In 8 bits, as :func:`telea_fill`.
    """
    return filled_by_opencv(images, known, "INPAINT_NS")


def filled_by_opencv(images: Tensor, known: Tensor, algorithm: str) -> Tensor:
    """Each channel alone, which is what OpenCV does with images of three; so there may be any number."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError(f"the fills of Telea and Navier-Stokes need OpenCV ({error}): {REMEDY}") from error

    def fill(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        levels = to_uint8(torch.from_numpy(image)).numpy()
        mask = hidden.astype(np.uint8)
        filled = np.stack([cv2.inpaint(channel, mask, RADIUS, getattr(cv2, algorithm)) for channel in levels])
        return from_uint8(torch.from_numpy(filled)).numpy()

    return filled_one_by_one(images, known, fill)


def filled_one_by_one(images: Tensor, known: Tensor, fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Tensor:
    """Each image by ``fill``, which takes it as float64 [C, H, W], 0 where hidden, and its hidden pixels, bool [H, W]."""
    known_counts(known)
    filled = torch.where(known, images, 0.0)
    for image, mask, result in zip(filled.double().cpu().numpy(), known[:, 0], filled, strict=True):
        if not mask.all():
            values = torch.from_numpy(fill(image, ~mask.cpu().numpy()))
            result[:, ~mask] = values.to(result)[:, ~mask]
    return filled


def known_counts(known: Tensor) -> Tensor:
    """The number of known pixels of each image, [B, 1, 1, 1]; ValueError where there are none."""
    counts = known.sum(dim=(2, 3), keepdim=True)
    if not counts.all():
        raise ValueError("a hole is filled from what is known around it: leave a known pixel in every image")
    return counts


def solved(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values [C, K] at the known pixels of a mask [H, W] -> the harmonic ones [C, N] at the others, both row by row."""
    laplacian = grid_laplacian(*known.shape)
    hidden = ~known.ravel()
    inner, border = laplacian[hidden][:, hidden], laplacian[hidden][:, ~hidden]
    return scipy.sparse.linalg.splu(inner.tocsc()).solve(-(border @ values.T)).T


def grid_laplacian(height: int, width: int) -> scipy.sparse.csr_matrix:
    """Degree minus adjacency of the pixels of an image, each joined to the up to four beside it: [HW, HW]."""
    numbers = np.arange(height * width).reshape(height, width)
    pairs = [(numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])]
    ends = np.concatenate([np.stack([a.ravel(), b.ravel()]) for a, b in pairs], axis=1)
    rows, columns = np.concatenate([ends, ends[::-1]], axis=1)
    shape = (height * width, height * width)
    adjacency = scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    return scipy.sparse.csr_matrix(scipy.sparse.diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency)


def without_seam(images: Tensor, originals: Tensor, known: Tensor) -> Tensor:
    """``images`` plus the harmonic extension of what they miss at the known pixels of the ``originals``.

    Exact at the known pixels and continuous at their border, where pasting alone leaves an edge. Of an image of one
    value it makes the harmonic fill.
    """
    residual = torch.where(known, originals - images, 0.0)
    return torch.where(known, originals, images + harmonic_fill(residual, known))
