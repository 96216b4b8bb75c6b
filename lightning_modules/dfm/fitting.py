"""Networks of Fourier layers fitted to images, one network an image (thesis, section 4.2.1), and what came of it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.inversion.memory import free_bytes
from generative.randomness import Stream
from generative.rendering.images import from_uint8, to_uint8
from lightning_modules.dfm.bandwidth import chi_of_frequency, rms_frequencies_of_images
from lightning_modules.dfm.descent import Budget, Course, Family, Pixels, Watch, descend, drawn
from lightning_modules.dfm.half_angle import half_angle_layer
from lightning_modules.dfm.networks import Shape, colours, pixel_positions
from lightning_modules.dfm.recipe import Recipe, recipe_of
from lightning_modules.dfm.start import first_scales, scales_of
from lightning_modules.dfm.walsh import WalshNetworks, from_walsh, to_walsh
from metrics.quality import MOST_DECIBELS, in_decibels

COLLAPSE = 0.1  # dB over the mean image, below which a network has not learned its image
WORKED_WITH = 5  # times the features of a layer, beside those that a step keeps of every layer


@dataclass(frozen=True)
class Networks:
    """The networks of a shape as a family of functions, through the half-angle form."""

    shape: Shape

    def __call__(self, points: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        return colours(points, parameters, self.shape, half_angle_layer)


@dataclass(frozen=True)
class Fitted:
    """N functions fitted to as many images, and how well: ``course.parameters`` [N, ...] are those of the last step.

    ``psnr`` is in dB of all pixels as bytes, ``psnr_known`` of those that were fitted, ``psnr_mean`` that of the mean colour of
    those.
    """

    family: Family
    course: Course
    psnr: list[float]
    psnr_known: list[float]
    psnr_mean: list[float]

    @property
    def collapsed(self) -> list[bool]:
        """Whether each network is no better than its image's mean colour. One whose image has one colour cannot be."""
        return [
            math.isnan(found) or (found <= mean + COLLAPSE and mean < MOST_DECIBELS)
            for found, mean in zip(self.psnr_known, self.psnr_mean, strict=True)
        ]


class Collapse(ValueError):
    """A fit of one image that ended at its mean colour; ``fitted`` is what there is of it."""

    def __init__(self, fitted: Fitted) -> None:
        self.fitted = fitted
        super().__init__(
            f"the network has collapsed to the image's mean colour: PSNR {fitted.psnr_known[0]:.2f} dB, and the mean has "
            f"{fitted.psnr_mean[0]:.2f}: take more steps (it had {fitted.course.steps}), recipe ours, or another seed"
        )


def start_of(shape: Shape, scales: Sequence[float], *, seed: int, numbers: Sequence[int]) -> list[Tensor]:
    """Coefficients to start from, a function of (seed, number of the image): float32 [len(numbers), rows, outputs] each."""
    stream = Stream(seed, "fourier coefficients")
    normal = torch.cat([stream.normal(number, 1, shape.num_coefficients) for number in numbers])
    return [scale * part for scale, part in zip(scales, shape.split(normal), strict=True)]


def start_by(
    recipe: Recipe, shape: Shape, images: Tensor, *, mask: Tensor | None, seed: int, numbers: Sequence[int]
) -> list[Tensor]:
    """:func:`start_of` of ``recipe``'s scales, which for each of ``images`` may be its own."""
    if recipe.start != "image":
        return start_of(shape, scales_of(recipe.start, shape), seed=seed, numbers=numbers)
    starts = []
    for frequency, number in zip(rms_frequencies_of_images(images, mask), numbers, strict=True):
        scales = first_scales(shape, chi=chi_of_frequency(frequency, shape))
        starts.append(start_of(shape, scales, seed=seed, numbers=[number]))
    return [torch.cat(parts) for parts in zip(*starts, strict=True)]


def check_images(images: Tensor, channels: int) -> None:
    """ValueError unless they are uint8 [N, channels, H, W] with pixels in them."""
    if images.dtype != torch.uint8 or images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"images must be uint8 [N, C, H, W], got {images.dtype} {[*images.shape]}: convert them to 8 bits"
        )
    if images.shape[1] != channels:
        raise ValueError(
            f"networks of {channels} channels cannot fit images of {images.shape[1]}: give the shape as many"
        )


def check_memory(shape: Shape, *, images: int, batch: int, device: torch.device) -> None:
    """ValueError where a step would take more than the free memory."""
    features = images * batch * 2**shape.width * (shape.depth + WORKED_WITH)
    needed = 4 * (features + 4 * images * shape.num_coefficients + 4**shape.width)  # bytes of float32
    free = free_bytes(device)
    if needed > free:
        raise ValueError(
            f"a step of width {shape.width}, with 2^{shape.width} frequencies, takes about {needed / 1e9:.2g} GB for "
            f"{images} images at {batch} pixels, and {free / 1e9:.2g} GB are free: choose a smaller width or fewer images"
        )


def pixels_of(
    images: Tensor, *, seed: int, numbers: Sequence[int], mask: Tensor | None, dtype: torch.dtype = torch.float32
) -> Pixels:
    """The pixels of uint8 images [N, C, H, W], known where ``mask`` [H, W] is true, or all."""
    height, width = images.shape[2:]
    if mask is None:
        mask = torch.ones(height, width, dtype=torch.bool, device=images.device)
    if mask.shape != (height, width) or mask.dtype != torch.bool or not mask.any():
        raise ValueError(
            f"a mask is bool [{height}, {width}], true at one pixel and more, got {mask.dtype} {[*mask.shape]} with "
            f"{int(mask.count_nonzero())} of them"
        )
    points = pixel_positions(height, width).to(images.device, dtype)
    targets = from_uint8(images).flatten(2).mT.contiguous().to(dtype)
    return Pixels(points, targets, mask.flatten().nonzero()[:, 0], numbers, seed)


def decibels(found: Tensor, targets: Tensor) -> list[float]:
    """PSNR of colours against others, [N, K, C] in [-1, 1] both, as bytes: of each image; not a number where one is not finite."""
    errors = ((to_uint8(found).double() - to_uint8(targets).double()) / 255.0).square().mean(dim=(1, 2))
    errors[~found.isfinite().flatten(1).all(dim=1)] = math.nan
    return [float(value) for value in in_decibels(errors)]


def measured(family: Family, course: Course, pixels: Pixels) -> Fitted:
    """What a descent came to."""
    found, known = drawn(family, course.parameters, pixels.points), pixels.targets[:, pixels.known]
    return Fitted(
        family,
        course,
        psnr=decibels(found, pixels.targets),
        psnr_known=decibels(found[:, pixels.known], known),
        psnr_mean=decibels(known.mean(dim=1, keepdim=True).expand_as(known), known),
    )


def fit_family(
    family: Family,
    start: Sequence[Tensor],
    pixels: Pixels,
    recipe: Recipe,
    budget: Budget,
    *,
    compiled: bool = True,
    watch: Watch | None = None,
) -> Fitted:
    """Any family fitted by :func:`~lightning_modules.dfm.descent.descend`, measured and :func:`checked`."""
    return checked(
        measured(family, descend(family, start, pixels, recipe, budget, compiled=compiled, watch=watch), pixels)
    )


def checked(fitted: Fitted) -> Fitted:
    """:class:`Collapse` where the only image's network ended at its mean colour; a warning where one of several did."""
    if fitted.collapsed == [True]:
        raise Collapse(fitted)
    if any(fitted.collapsed):
        places = [place for place, collapsed in enumerate(fitted.collapsed) if collapsed]
        warnings.warn(f"networks of images {places} have collapsed to the image's mean colour", stacklevel=2)
    return fitted


def fit(
    images: Tensor,
    shape: Shape,
    recipe: Recipe | str,
    budget: Budget,
    *,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    mask: Tensor | None = None,
    start: Sequence[Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    compiled: bool = True,
    watch: Watch | None = None,
) -> Fitted:
    """A network of ``shape`` for each of uint8 ``images`` [N, C, H, W], all in one program, on the device of the images.

    ``recipe`` is one, or a name of :data:`~lightning_modules.dfm.recipe.RECIPES`. A network is a function of (``seed``, the
    number of its image, the image), where ``numbers`` are 0, 1, ... unless given: image 3 alone, with ``numbers=[3]``, comes
    out as among others. Only pixels are fitted where ``mask`` [H, W] is true. ``start`` goes on from coefficients
    [N, rows, outputs] each. ``watch`` is told of the progress some 50 times.
    """
    check_images(images, shape.channels)
    recipe = recipe_of(recipe, shape) if isinstance(recipe, str) else recipe
    pixels = pixels_of(images, seed=seed, numbers=numbers or range(len(images)), mask=mask, dtype=dtype)
    if len(pixels.numbers) != len(images):
        raise ValueError(
            f"there are {len(images)} images and {len(pixels.numbers)} numbers of them: give each a number"
        )
    check_memory(shape, images=len(images), batch=min(recipe.batch, len(pixels.known)), device=images.device)
    if start is None:
        start = start_by(recipe, shape, images, mask=mask, seed=seed, numbers=pixels.numbers)
    start = [part.to(images.device, dtype) for part in start]
    if recipe.optimizer != "muon" or shape.kernel != "full":
        return fit_family(Networks(shape), start, pixels, recipe, budget, compiled=compiled, watch=watch)
    # Muon's steps are the same in the basis of half angles, and faster.
    turned = to_walsh(start, shape)
    course = descend(WalshNetworks(shape), turned, pixels, recipe, budget, compiled=compiled, watch=watch)
    course = dataclasses.replace(course, parameters=from_walsh(course.parameters, shape))
    return checked(measured(Networks(shape), course, pixels))


def images_of(fitted: Fitted, height: int, width: int) -> Tensor:
    """The fitted functions drawn at any size: [N, C, height, width] in (-1, 1) for networks. Larger sizes sample between pixels."""
    parameters = fitted.course.parameters
    points = pixel_positions(height, width).to(parameters[0])
    return drawn(fitted.family, parameters, points).mT.unflatten(2, (height, width))
