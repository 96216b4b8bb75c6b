"""Patches around defects, and faultless ones, of any set with boxes: what teaches a classifier of defects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.batches import Order, Rows
from datamodules.inspection import Inspection
from datamodules.patches.augmentation import AUGMENTATIONS, PatchAugmentation, jitter, window_side
from datamodules.patches.composition import ComposedOrder, Composition
from datamodules.patches.known import check_settings, known_places, with_boxes
from datamodules.patches.paste import PASTES, pasted
from datamodules.patches.twins import registered
from datamodules.patches.windows import BoxedSet, Windows, changed, joined
from generative.rendering.pictures import read_header

NUM_CLEAN = 1400  # faultless training windows
CLEAN_A_TEST_IMAGE = 4
NUM_PASTED = 150  # of a class
MASKS = ("given", "changed")


class DefectPatches(ImageDataModule):
    """Patches of ``size`` pixels of the images of ``source``, as large as it shows them; the last class is faultless.

    ``num_real`` defects of each class are known (None: all), at most one an image while they last; fewer of a
    ``subset_seed`` are among more of it. Of a batch the share ``clean_share`` is faultless, and the classes have equal parts
    of the rest, of which ``synthetic_share`` is made: from ``synthetic``, a folder in COCO's format that
    ``python -m datamodules.synthesize draw`` made, or by ``paste`` (``anywhere``, or ``matched``: where the rim fits).
    ``augmentation``: ``basic`` (shifts, quarter turns, mirrors) or ``strong`` (any angle, scales, shears, thicker and thinner
    lines, hidden borders, contrast).

    Batches hold "image" [B, C, S, S], "label" [B], "real" [B] (0 for made ones), and "template" [B, C, S, S], the faultless
    twin, where the set has twins. "mask" uint8 [B, S, S] is 1 on the patch's defect: where the set has masks with
    ``masks=given``, else, with ``masks=changed``, what differs from the twin within the box, or the box. The rows of the
    training split are windows with the room that shifts and turns need.

    ``register``: training twins are moved onto their images first (:func:`generative.rendering.registration.register`), and
    images whose twin does not fit are left out.
    """

    def __init__(
        self,
        *,
        source: Callable[..., ImageDataModule],
        size: int,
        num_real: int | None = None,
        subset_seed: int = 0,
        clean_share: float = 0.2,
        synthetic: str | None = None,
        synthetic_share: float = 0.5,
        augmentation: str = "basic",
        paste: str = "none",
        masks: str = "given",
        register: bool = False,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        check_settings(size=size, num_real=num_real, subset_seed=subset_seed, synthetic_share=synthetic_share)
        if not 0 < clean_share < 1:
            raise ValueError(f"datamodule.clean_share must lie between 0 and 1, got {clean_share}")
        if augmentation not in AUGMENTATIONS:
            raise ValueError(f"datamodule.augmentation is one of {', '.join(AUGMENTATIONS)}, got {augmentation!r}")
        if paste not in ("none", *PASTES):
            raise ValueError(f"datamodule.paste is one of none, {', '.join(PASTES)}, got {paste!r}")
        if synthetic and paste != "none":
            raise ValueError(f"synthetic={synthetic} and paste={paste} are two ways of making patches: choose one")
        if masks not in MASKS:
            raise ValueError(f"datamodule.masks is one of {', '.join(MASKS)}, got {masks!r}")
        self.source = with_boxes(source, batch_size=self.batch_size, seed=self.seed)
        self.size, self.num_real, self.subset_seed = size, num_real, subset_seed
        self.synthetic = None if synthetic is None else Path(synthetic).expanduser()
        self.paste, self.masks, self.register = paste, masks, register
        if masks == "changed":
            self.target_classes = ("faultless", "defect")
        self.name = f"{self.source.name}_patches"
        self.label_names = (*self.source.target_classes, "faultless")
        self.num_classes = len(self.label_names)
        self.image_shape = (self.source.image_shape[0], size, size)
        made = synthetic_share if synthetic or paste != "none" else 0.0
        self.composition = Composition(len(self.source.target_classes), clean_share, made)
        self.augmentation = PatchAugmentation(self.seed, size, augmentation == "strong")

    @cached_property
    def training(self) -> Windows:
        """Windows of the known defects, of the made ones, and faultless ones."""
        side, boxed = window_side(self.size), boxed_set(self.source, "train")
        if self.register:
            boxed = registered(boxed)
        real = known(boxed, self.source.target_classes, side, num_real=self.num_real, seed=self.subset_seed)
        clean = faultless(boxed, self.size)
        parts = [real, clean]
        if self.paste != "none":
            parts.append(pasted(real, clean, NUM_PASTED, how=self.paste, seed=self.subset_seed))
        elif self.synthetic is not None:
            parts.append(synthetic_windows(self.synthetic, self.source, side))
        return joined(parts)

    @cached_property
    def testing(self) -> Windows:
        return test_windows(boxed_set(self.source, "test"), self.size)

    def windows(self, split: str) -> Windows:
        return self.training if split == "train" else self.testing

    def load(self, split: str) -> tuple[Rows, Tensor]:
        found = self.windows(split)
        return found.images, found.labels

    def targets(self, split: str) -> Mapping[str, Rows]:
        found = self.windows(split)
        given: dict[str, Rows | None] = {"template": found.twins, "mask": found.masks}
        if self.masks == "changed":
            given["mask"] = changed(found).to(torch.uint8)
        return {"real": found.real} | {name: rows for name, rows in given.items() if rows is not None}

    def order(self) -> Order:
        return ComposedOrder(self.training, self.composition, block=self.batch_size, seed=self.seed)


def boxed_set(source: ImageDataModule, split: str) -> BoxedSet:
    """The images of a split with their boxes, and the faultless twins and masks that the set knows of."""
    images, _ = source.split(split)
    return BoxedSet.of(images, source.targets(split), len(source.target_classes))


def known(boxed: BoxedSet, names: tuple[str, ...], side: int, *, num_real: int | None, seed: int) -> Windows:
    """Windows of ``num_real`` defects of each class (None: all); ValueError where a class has not so many."""
    places = known_places(boxed, names, num_real=num_real, seed=seed)
    return joined([boxed.around(of_class, side, real=True) for of_class in places])


def faultless(boxed: BoxedSet, size: int) -> Windows:
    """Training windows without a defect, half of them of twins where the set has some."""
    return boxed.faultless(NUM_CLEAN, window_side(size), reach=size // 2 + jitter(size), seed=0, twins=True)


def test_windows(boxed: BoxedSet, size: int) -> Windows:
    """Patches of all test defects, and four faultless ones an image, which are not of its twin."""
    count = CLEAN_A_TEST_IMAGE * len(boxed.images)
    defects = boxed.around(boxed.places(), size, real=True)
    return joined([defects, boxed.faultless(count, size, reach=size // 2, seed=0, twins=False)])


def synthetic_windows(folder: Path, source: ImageDataModule, side: int) -> Windows:
    """Every defect of a folder in COCO's format of the classes of ``source``, with the twins in its folder ``clean``."""
    sets = [boxed for _, boxed in drawn_sets(folder, source)]
    return joined([boxed.around(boxed.places(), side, real=False) for boxed in sets])


def drawn_sets(folder: Path, source: ImageDataModule) -> list[tuple[list[Path], BoxedSet]]:
    """The pictures of a folder in COCO's format at their own size, with their boxes of the classes of ``source``.

    Without a test split every tenth picture is held out and makes a set of its own: all of them were made for training.
    ValueError where the folder has no pictures.
    """
    first = next(iter(sorted((folder / "train").glob("*"))), None)
    if first is None:
        raise ValueError(
            f"{folder / 'train'} has no pictures: draw some by `python -m datamodules.synthesize draw` and give their folder"
        )
    header = read_header(first.read_bytes(), str(first))
    made = Inspection(
        data_dir=str(folder),
        classes=list(source.target_classes),
        channels=source.image_shape[0],
        resolution=max(header.height, header.width),
        batch_size=1,
        seed=0,
    )
    return [([one.image for one in made.find(split)], boxed_set(made, split)) for split in made.splits]
