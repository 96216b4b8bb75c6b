"""The images that a task starts from: of the test split by number, or of a folder, a zip or an array file."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.checks import check_at_least
from generative.inversion.measurements import Grey
from generative.rendering.files import ARRAYS, ImageFiles, read_array, shape_in_words
from generative.rendering.images import from_uint8
from lightning_modules.base import Draws, ImageData
from lightning_modules.tasks.held_out import held_out


def open_originals(
    method: Draws,
    datamodule: ImageData,
    *,
    images: list[int] | int | str | None,
    count: int,
    classes: list[int] | int | None,
    fit: bool,
) -> tuple[Tensor, Tensor | None]:
    """Images [N, C, H, W] in [-1, 1] and their labels, where they are known and the model takes any.

    ``images``: numbers in the test split, or a path; without it the first ``count`` test images. Labels are those of the
    split unless ``classes`` says otherwise: one for all, or one each. Files carry none, since another set's classes mean
    something else.
    """
    check_at_least(1, count=count)
    labels: Tensor | None = None
    if isinstance(images, str):
        found = fitted(method, first_images(Path(images).expanduser(), count), name=images, fit=fit)
    else:
        num_images = len(datamodule.split("test")[1])
        numbers = list(range(min(count, num_images))) if images is None else images
        chosen = torch.tensor([numbers] if isinstance(numbers, int) else numbers, dtype=torch.long)
        if len(chosen) == 0 or chosen.min() < 0 or chosen.max() >= num_images:
            raise ValueError(
                f"images are numbers from 0 to {num_images - 1}, of the test split of {datamodule.name}, or a path: "
                f"got {images}"
            )
        found, labels = held_out(datamodule, chosen)
    return found.to(next(method.parameters())), labels_of_originals(method, labels, classes, len(found))


def labels_of_originals(
    method: Draws, own: Tensor | None, classes: list[int] | int | None, count: int
) -> Tensor | None:
    if classes is None:
        return own.to(method.device) if own is not None and method.num_classes > 0 else None
    asked = torch.tensor([classes] if isinstance(classes, int) else classes)
    if method.num_classes == 0:
        raise ValueError("this model is unconditional: leave out classes")
    if len(asked) not in (1, count):
        raise ValueError(f"classes names one class for all images or one for each of the {count}, got {len(asked)}")
    return method.check_labels(asked.expand(count))


def first_images(path: Path, count: int) -> Tensor:
    """The first ``count`` images as uint8 [N, C, H, W]."""
    if not path.exists():
        raise ValueError(f"there is no folder or file {path} of images")
    return read_array(path)[0][:count] if path.suffix.lower() in ARRAYS else ImageFiles(path).images(0, count)


def fitted(method: Draws, images: Tensor, *, name: str, fit: bool) -> Tensor:
    """Images in [-1, 1] of the model's shape: as they are, or with ``fit`` their central part, brought to its size and colour."""
    channels, height, width = images.shape[1:]
    found, wanted = (channels, height, width), method.image_shape
    values = from_uint8(images)
    if found == wanted:
        return values
    if not fit:
        raise ValueError(
            f"{name} is {shape_in_words(found)}, and this model draws images {shape_in_words(wanted)}: bring them to that, or "
            "add fit=true"
        )
    if wanted[0] == 1 and found[0] == 3:
        values = Grey()(values)
    values = values.expand(-1, wanted[0], -1, -1)
    scale = max(wanted[1] / found[1], wanted[2] / found[2])
    size = [round(length * scale) for length in found[1:]]
    values = F.interpolate(values, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
    top, left = (size[0] - wanted[1]) // 2, (size[1] - wanted[2]) // 2
    return values[:, :, top : top + wanted[1], left : left + wanted[2]]
