"""Exemplar-based inpainting (Criminisi, Perez and Toyama 2004): a hole is filled with patches of what is known around it."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from generative.inversion.fills import filled_one_by_one

FLAT = 1e-3  # data term where no line meets the border of the hole: confidence alone decides there
RANGE = 2.0  # alpha of the paper: of values in [-1, 1]


def exemplar_fill(images: Tensor, known: Tensor, *, patch: int = 5) -> Tensor:
    """Images [B, C, H, W] in [-1, 1], filled where ``known`` [B, 1, H, W] is false, from squares of ``patch`` pixels, an odd
    number.

    Until nothing is hidden, the pixel at the border of the hole with the highest priority is taken, that is with much known
    around it and lines that run into the hole. Of all squares of the image without a hidden pixel the one that is most
    like what is known around that pixel, in squared error (of equal ones the first, row by row), is copied to the rest.
    ValueError where an image has no square without a hidden pixel.
    """
    if patch < 3 or patch % 2 == 0:
        raise ValueError(f"patch must be an odd number of pixels from 3 on, got {patch}")

    def fill(image: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        return filled_by_patches(image, hidden, patch)

    return filled_one_by_one(images, known, fill)


def filled_by_patches(image: np.ndarray, hidden: np.ndarray, patch: int) -> np.ndarray:
    """An image float64 [C, H, W] of which the pixels ``hidden`` [H, W] are filled."""
    half = patch // 2
    sources = source_patches(image, hidden, patch)
    # Beyond the border of the image nothing is known, and nothing is to be filled.
    canvas = np.pad(image, ((0, 0), (half, half), (half, half)))
    known = np.pad(~hidden, half)
    missing = np.pad(hidden, half)
    confidence = known.astype(np.float64)
    while missing.any():
        row, column, trust = most_urgent(canvas.mean(axis=0), known, missing, confidence, patch)
        window = np.s_[row - half : row + half + 1, column - half : column + half + 1]
        new = missing[window].copy()
        canvas[:, *window][:, new] = nearest_patch(sources, canvas[:, *window], known[window])[:, new]
        confidence[window][new] = trust
        known[window][new] = True
        missing[window][new] = False
    return canvas[:, half:-half, half:-half]


def largest_patches(known: Tensor, *, most: int) -> list[int]:
    """For each mask [B, 1, H, W] the largest odd side up to ``most`` of a square without a hidden pixel; 1 where that is all."""
    found = []
    for mask in known[:, 0].cpu().numpy():
        sides = [side for side in range(most, 1, -2) if side <= min(mask.shape)]
        whole = (side for side in sides if sliding_window_view(mask, (side, side)).all(axis=(2, 3)).any())
        found.append(next(whole, 1))
    return found


def source_patches(image: np.ndarray, hidden: np.ndarray, patch: int) -> np.ndarray:
    """All squares of an image [C, H, W] without a hidden pixel, row by row: [N, C, patch, patch]."""
    height, width = hidden.shape
    if patch <= min(height, width):
        squares = sliding_window_view(image, (patch, patch), axis=(1, 2))
        whole = ~sliding_window_view(hidden, (patch, patch)).any(axis=(2, 3))
        if whole.any():
            return np.ascontiguousarray(squares[:, whole].swapaxes(0, 1))
    raise ValueError(
        f"an image of {height} x {width} pixels has no square of {patch} pixels without a hidden one to copy: choose a smaller "
        "patch"
    )


def nearest_patch(sources: np.ndarray, target: np.ndarray, known: np.ndarray) -> np.ndarray:
    """That of ``sources`` [N, C, p, p] with the least squared error to a ``target`` [C, p, p] where it is known, [p, p]."""
    differences = sources[:, :, known] - target[:, known]
    return sources[np.einsum("ncp,ncp->n", differences, differences).argmin()]


def most_urgent(
    grey: np.ndarray, known: np.ndarray, missing: np.ndarray, confidence: np.ndarray, patch: int
) -> tuple[int, int, float]:
    """Row and column of the pixel of the hole's border that is filled first, and its confidence.

    P = C D (eq. 1): C is the mean confidence of the square around it, where hidden pixels have 0, and D = |I' . n| / alpha the
    part of the isophote I', the largest gradient known in that square turned by a right angle, along n into the hole.
    """
    rows, columns = np.nonzero(missing & beside(known))
    trust = around(confidence, rows, columns, patch).mean(axis=1)
    down, right = known_gradient(grey, known)
    steepest = around(down**2 + right**2, rows, columns, patch).argmax(axis=1)
    across = [around(part, rows, columns, patch)[np.arange(len(rows)), steepest] for part in (-right, down)]
    half = patch // 2
    hole = np.pad(missing[half:-half, half:-half].astype(np.float64), half, mode="edge")  # it goes on beyond the image
    normals = [part[rows, columns] for part in known_gradient(hole, np.ones_like(known))]
    length = np.maximum(np.hypot(*normals), 0.5)  # that is its least, but for a pixel alone, which has no direction
    lines = np.abs(across[0] * normals[0] + across[1] * normals[1]) / length / RANGE
    first = (trust * (lines + FLAT)).argmax()
    return int(rows[first]), int(columns[first]), float(trust[first])


def beside(mask: np.ndarray) -> np.ndarray:
    """The pixels with one of ``mask`` [H, W] above, below, at the left or at the right."""
    near = np.zeros_like(mask)
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    near[:, 1:] |= mask[:, :-1]
    near[:, :-1] |= mask[:, 1:]
    return near


def known_gradient(grey: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of an image [H, W] downwards and to the right; 0 where one of the two pixels is not known."""
    down, right = np.zeros_like(grey), np.zeros_like(grey)
    down[1:-1] = np.where(known[2:] & known[:-2], grey[2:] - grey[:-2], 0.0) / 2
    right[:, 1:-1] = np.where(known[:, 2:] & known[:, :-2], grey[:, 2:] - grey[:, :-2], 0.0) / 2
    return down, right


def around(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, patch: int) -> np.ndarray:
    """The values [H, W] of the squares around N pixels at least half a patch from the border: [N, patch * patch]."""
    half = patch // 2
    return sliding_window_view(values, (patch, patch))[rows - half, columns - half].reshape(len(rows), -1)
