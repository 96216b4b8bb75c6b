"""From a box to the pixels of the defect in it: by the faultless twin where there is one, else by colours.

The rim of a mask is moved to the edges that Canny's detector finds within a few pixels.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from generative.rendering.defects.libraries import needed, opencv
from generative.rendering.defects.topology import COPPER_NEIGHBOURS

TIMES_DEVIATION = 6.0  # a pixel that changed by more of the background's median absolute deviations is the defect's
LEAST_CHANGE = 10.0  # grey levels
HALF = 0.5
NUM_CUTS = 4  # rounds of GrabCut
SHARES = (0.01, 0.98)  # of the box that a mask may fill; GrabCut's outside are taken from thresholds
BAND = 2  # pixels that the rim may move
LEAST_AREA = 8


def from_box(picture: np.ndarray, box: tuple[float, ...], twin: np.ndarray | None = None) -> np.ndarray:
    """The mask, bool [H, W], of what lies in ``box`` (left, top, right, bottom) of a ``picture`` [H, W] or [H, W, 3] of bytes.

    ValueError where nothing in the box stands out.
    """
    inside = np.zeros(picture.shape[:2], dtype=bool)
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    inside[top:bottom, left:right] = True
    if twin is not None:
        mask = changed(picture, twin) & inside
    else:
        mask = cut_out(picture, inside)
        if not SHARES[0] <= mask[inside].mean() <= SHARES[1]:
            mask = unlike_its_rim(picture, inside)
    mask = largest(mask)
    if mask.sum() < LEAST_AREA:
        raise ValueError("nothing in the box stands out from what is around it: give a mask")
    return refined(picture, mask) & inside if twin is None else mask


def changed(picture: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """Where a picture differs from its twin by more than their noise."""
    apart = np.abs(picture.astype(np.float32) - twin.astype(np.float32))
    apart = apart.max(axis=2) if apart.ndim == 3 else apart
    apart = ndimage.gaussian_filter(apart, 0.7)
    middle = np.median(apart)
    deviation = np.median(np.abs(apart - middle))
    threshold = max(middle + TIMES_DEVIATION * deviation, LEAST_CHANGE)
    strong = apart[apart > threshold]
    # Blur spreads a strong change around it: the rim is where the change is half of what it is inside.
    mask = apart > (max(threshold, HALF * float(np.median(strong))) if len(strong) else threshold)
    return ndimage.binary_fill_holes(ndimage.binary_closing(mask, COPPER_NEIGHBOURS))


def cut_out(picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """GrabCut: two mixtures of colours, that of the surroundings and that of what is in the box, and a smooth cut between."""
    cv2 = opencv()
    colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    marks = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if inside.all():  # the box is the picture: its rim stands for the surroundings
        marks[[0, -1]] = marks[:, [0, -1]] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(colour), marks, None, np.zeros((1, 65)), np.zeros((1, 65)), NUM_CUTS, cv2.GC_INIT_WITH_MASK
    )
    return (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)


def unlike_its_rim(picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What in the box is unlike the median of its surroundings, by Otsu's threshold."""
    filters = needed("skimage.filters", "finding defects in boxes")
    around = ndimage.binary_dilation(inside, iterations=6) & ~inside
    around = around if around.any() else inside & ~ndimage.binary_erosion(inside)
    values = picture.astype(np.float32)
    apart = np.abs(values - np.median(values[around], axis=0))
    apart = apart.max(axis=2) if apart.ndim == 3 else apart
    if np.ptp(apart[inside]) < LEAST_CHANGE:
        return np.zeros_like(inside)
    return (apart > filters.threshold_otsu(apart[inside])) & inside


def refined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``mask`` with its rim on the edges near it: a watershed of the slopes, Canny's edges highest, in a band around the rim."""
    feature, segmentation = (needed(f"skimage.{name}", "refining masks") for name in ("feature", "segmentation"))
    grey = picture.astype(np.float32) / 255.0
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    core = ndimage.binary_erosion(mask, iterations=BAND)
    core = core if core.any() else ndimage.binary_erosion(mask)
    core = core if core.any() else mask
    outside = ~ndimage.binary_dilation(mask, iterations=BAND)
    marks = np.where(core, 2, np.where(outside, 1, 0))
    relief = ndimage.gaussian_gradient_magnitude(grey, 1.0) + feature.canny(grey, sigma=1.0)
    found: np.ndarray = segmentation.watershed(relief, marks) == 2
    return found


def largest(mask: np.ndarray) -> np.ndarray:
    """The piece of a mask with the most pixels, with its small holes filled."""
    labels, count = ndimage.label(mask, COPPER_NEIGHBOURS)
    if count > 1:
        mask = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return mask
