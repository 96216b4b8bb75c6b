"""Crops around defects with their boxes, of any set with boxes: what teaches a detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.base import VALIDATION, ImageDataModule
from datamodules.batches import Order, Rows
from datamodules.defect_patches import boxed_set, drawn_sets
from datamodules.patches.crops import CanvasRows, CropOrder, DefectCrop, check_scale, padded
from datamodules.patches.known import check_settings, known_places, with_boxes
from datamodules.patches.windows import BoxedSet
from generative.rendering.images import to_uint8


@dataclass(frozen=True)
class Pictures:
    """Whole pictures [N, C, H, W] with boxes [N, K, 4], their classes [N, K], and ``real`` [N], 0 for made ones."""

    images: CanvasRows
    boxes: Tensor
    labels: Tensor
    real: Tensor


class DefectCrops(ImageDataModule):
    """Crops of ``size`` pixels around the defects of ``source``, each class as often, at a scale between the two of ``scale``.

    ``num_real`` defects of each class are chosen (None: all), at most one an image while they last; fewer of a
    ``subset_seed`` are among more of it. The images that hold one of them are trained on, with all of their boxes, and no
    others. Of the crops ``synthetic_share`` are of ``synthetic``, a folder in COCO's format that
    ``python -m datamodules.synthesize draw`` made. ``turned``: crops are turned by quarters and mirrored. The share
    ``anywhere_share`` of the crops is from any place of their picture, with a defect or without: what never comes into a
    crop around a defect is called one more easily.

    Training batches hold "image" [B, C, S, S], "boxes" [B, K, 4], cut at the rim and kept where more than half is visible,
    "box_label" [B, K], -1 where there is none, and "real" [B] (0 for made ones). The rows of the training split are the whole
    pictures that crops are cut from.

    With ``num_validation`` there is a split ``validation``: so many crops at scale 1, of training images that are not known and
    so not trained on, the same ones for every seed of a run.

    The test split shows whole images. So no box is cut by a tile or seen in two, every box counts once, and a rate of false
    calls is one of a board.
    """

    def __init__(
        self,
        *,
        source: Callable[..., ImageDataModule],
        size: int,
        num_real: int | None = None,
        subset_seed: int = 0,
        synthetic: str | None = None,
        synthetic_share: float = 0.5,
        scale: list[float],
        turned: bool = True,
        anywhere_share: float = 0.0,
        num_validation: int = 0,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers)
        check_settings(size=size, num_real=num_real, subset_seed=subset_seed, synthetic_share=synthetic_share)
        self.source = with_boxes(source, batch_size=batch_size, seed=seed)
        if size > min(self.source.image_shape[1:]):
            raise ValueError(
                f"datamodule.size={size} is larger than the images of {self.source.name}, "
                f"{' x '.join(map(str, self.source.image_shape[1:]))} pixels: give a smaller one"
            )
        if not 0 <= anywhere_share < 1:
            raise ValueError(f"datamodule.anywhere_share must be at least 0 and below 1, got {anywhere_share}")
        if num_validation < 0:
            raise ValueError(f"datamodule.num_validation must be at least 0, got {num_validation}")
        if num_validation and num_real is None:
            raise ValueError(
                f"num_validation={num_validation} crops need images that are not trained on: give datamodule.num_real"
            )
        self.num_validation = num_validation
        if num_validation:
            self.splits = ("train", VALIDATION, "test")
        self.num_real, self.subset_seed = num_real, subset_seed
        self.synthetic = None if synthetic is None else Path(synthetic).expanduser()
        self.made_share = 0.0 if synthetic is None else synthetic_share
        self.name = f"{self.source.name}_crops"
        self.num_classes = 0
        self.target_classes = self.source.target_classes
        self.image_shape = (self.source.image_shape[0], size, size)
        self.augmentation = DefectCrop(seed, size, check_scale(scale), len(self.target_classes), turned, anywhere_share)

    @property
    def test_size(self) -> tuple[int, int]:
        return self.source.image_shape[1:]

    @cached_property
    def training(self) -> Pictures:
        """The pictures that are known, and those that were made."""
        real = boxed_set(self.source, "train")
        made = [] if self.synthetic is None else [one for _, one in drawn_sets(self.synthetic, self.source)]
        taken = [(real, known_images(real, self.target_classes, num_real=self.num_real, seed=self.subset_seed))]
        taken += [(one, showing_defects(one)) for one in made if len(showing_defects(one))]
        most = max(one.boxes.shape[1] for one, _ in taken)
        boxes, labels = zip(*(padded(one.boxes[rows], one.box_labels[rows], most) for one, rows in taken), strict=True)
        is_real = torch.cat([torch.full((len(rows),), int(one is real)) for one, rows in taken])
        images = CanvasRows([(one.images, rows) for one, rows in taken])
        return Pictures(images, torch.cat(boxes), torch.cat(labels), is_real)

    @cached_property
    def validation(self) -> dict[str, Tensor]:
        """Crops uint8 [N, C, S, S] of images that are not known, with their boxes; ValueError where a class has none."""
        boxed = boxed_set(self.source, "train")
        known = known_images(boxed, self.target_classes, num_real=self.num_real, seed=self.subset_seed)
        others = showing_defects(boxed)
        others = others[~torch.isin(others, known)]
        boxes, labels = boxed.boxes[others], boxed.box_labels[others]
        real = torch.ones(len(others), dtype=torch.int64)
        pictures = CanvasRows([(boxed.images, others)])
        numbers = np.arange(self.num_validation)
        chosen = torch.from_numpy(CropOrder(labels, real, self.target_classes, made_share=0.0, seed=0)(numbers))
        rows = {
            "image": pictures[chosen], "boxes": boxes[chosen], "box_label": labels[chosen], "extent": pictures.extents[chosen],
            "real": real[chosen],
        }  # fmt: skip
        crops = DefectCrop(0, self.image_shape[1], (1.0, 1.0), len(self.target_classes), turned=False)(rows, 0)
        return crops | {"image": to_uint8(crops["image"])}

    def load(self, split: str) -> tuple[Rows, Tensor]:
        if split == VALIDATION:
            return self.validation["image"], torch.zeros(self.num_validation, dtype=torch.int64)
        images = self.training.images if split == "train" else self.source.split(split)[0]
        return images, torch.zeros(len(images), dtype=torch.int64)

    def targets(self, split: str) -> Mapping[str, Rows]:
        if split == "train":
            found = self.training
            return {"boxes": found.boxes, "box_label": found.labels, "real": found.real}
        if split == VALIDATION:
            return {name: self.validation[name] for name in ("boxes", "box_label", "real")}
        given = self.source.targets(split)
        real = torch.ones(len(self.source.split(split)[1]), dtype=torch.int64)
        return {"boxes": given["boxes"], "box_label": given["box_label"], "real": real}

    def rows(self, split: str) -> Mapping[str, Rows]:
        rows = super().rows(split)
        return {**rows, "extent": self.training.images.extents} if split == "train" else rows

    def order(self) -> Order:
        found = self.training
        return CropOrder(found.labels, found.real, self.target_classes, made_share=self.made_share, seed=self.seed)


def showing_defects(boxed: BoxedSet) -> Tensor:
    """The numbers of the images with a box, int64 [N]."""
    return (boxed.box_labels >= 0).any(dim=1).nonzero()[:, 0]


def known_images(boxed: BoxedSet, names: tuple[str, ...], *, num_real: int | None, seed: int) -> Tensor:
    """The numbers of the images with one of ``num_real`` chosen defects of each class (None: any defect), int64 [N], rising.

    ValueError where a class has not so many defects, or none at all.
    """
    if not len(showing_defects(boxed)):
        raise ValueError("no training image has a box: label some, by a tool that exports COCO's format")
    places = known_places(boxed, names, num_real=num_real, seed=seed)
    if num_real is None:
        return showing_defects(boxed)
    return torch.cat([of_class[:, 0] for of_class in places]).unique()
