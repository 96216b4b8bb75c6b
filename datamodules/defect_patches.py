"""Patches around defects, and faultless ones, of any set with boxes: what teaches a classifier of defects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.batches import Batch, Rows
from datamodules.inspection import Inspection
from datamodules.patch_augmentation import JITTER
from datamodules.patch_batches import Composition, Patches, PatchStream, tested
from datamodules.patch_paste import PASTES, pasted
from datamodules.patch_windows import BoxedSet, Windows, joined
from generative.checks import check_at_least, check_choice

NUM_CLEAN = 1400  # faultless training windows
CLEAN_A_TEST_IMAGE = 4
CLEAN = "clean"  # the folder of twins beside a set
NUM_PASTED = 150  # of a class


class DefectPatches(ImageDataModule):
    """Patches of ``size`` pixels of the images of ``source``, at its resolution; the last class is faultless.

    ``num_real`` defects of each class are known (None: all), at most one an image while they last; fewer of a
    ``subset_seed`` are among more of it. Of a batch the share ``clean_share`` is faultless, and the classes have equal parts of
    the rest, of which ``synthetic_share`` is made: from ``synthetic``, a folder in COCO's format that
    ``python -m datamodules.synthesize draw`` made, or by ``paste``. ``augmentation``: ``basic`` (shifts, quarter turns,
    mirrors) or ``strong`` (any angle, scales, shears, thicker and thinner lines, hidden borders, contrast). Patch number k is
    a function of the seed and k.

    Batches hold "image" [B, C, S, S], "label" [B], "real" [B] (0 for made ones), and where there are some "template" [B, C, S,
    S], the faultless twin, and "mask" [B, S, S] uint8, the class counted from 1 on the defect.
    """

    def __init__(
        self,
        *,
        source: ImageDataModule,
        size: int = 64,
        num_real: int | None = None,
        subset_seed: int = 0,
        clean_share: float = 0.2,
        synthetic: str | None = None,
        synthetic_share: float = 0.5,
        augmentation: str = "basic",
        paste: str = "none",
        **given: Any,
    ) -> None:
        super().__init__(**given)
        check_at_least(8, size=size)
        check_at_least(0, subset_seed=subset_seed)
        if num_real is not None:
            check_at_least(1, num_real=num_real)
        if not 0.0 <= clean_share < 1.0:
            raise ValueError(f"clean_share must be at least 0 and below 1, got {clean_share}")
        if not 0.0 < synthetic_share <= 1.0:
            raise ValueError(f"synthetic_share must be above 0 and at most 1, got {synthetic_share}")
        check_choice("augmentation", augmentation, ("basic", "strong"))
        check_choice("paste", paste, ("none", *PASTES))
        if synthetic and paste != "none":
            raise ValueError(f"synthetic={synthetic} and paste={paste} are two ways of making patches: choose one")
        if not source.target_classes:
            raise ValueError(f"{source.name} has no boxes: give a source with some, such as deeppcb or inspection")
        self.source, self.size, self.side = source, size, size + 4 * JITTER
        self.num_real, self.subset_seed = num_real, subset_seed
        self.synthetic = None if synthetic is None else Path(synthetic).expanduser()
        self.augment_by, self.paste = augmentation, paste
        self.defect_names = source.target_classes
        self.num_classes = len(source.target_classes) + 1
        self.image_shape = (source.image_shape[0], size, size)
        made = synthetic_share if synthetic or paste != "none" else 0.0
        self.composition = Composition(len(source.target_classes), clean_share, made)
        self.windows: dict[str, Windows] = {}
        self.stream_of: Patches | None = None

    def boxed(self, split: str) -> BoxedSet:
        return boxed_set(self.source, split)

    def load(self, split: str) -> tuple[Rows, Tensor]:
        found = self.training() if split == "train" else self.test_windows()
        self.windows[split] = found
        rows = tested(found, self.size)
        return rows["image"], found.labels

    def targets(self, split: str) -> Mapping[str, Rows]:
        self.split(split)
        rows = tested(self.windows[split], self.size)
        return {name: values for name, values in rows.items() if name not in ("image", "label")}

    def training(self) -> Windows:
        boxed = self.boxed("train")
        real = known(boxed, self.defect_names, self.side, num_real=self.num_real, seed=self.subset_seed)
        clean = boxed.faultless(NUM_CLEAN, self.side, reach=self.size // 2 + JITTER, seed=0, twins=True)
        self.stream_of = Patches(
            real, clean, self.made(real, clean), self.composition, self.size, self.batch_size, self.augment_by, self.seed
        )
        return self.stream_of.all

    def made(self, real: Windows, clean: Windows) -> Windows | None:
        if self.paste != "none":
            return pasted(real, clean, NUM_PASTED, how=self.paste, seed=self.subset_seed)
        return None if self.synthetic is None else synthetic_windows(self.synthetic, self.source, self.side)

    def test_windows(self) -> Windows:
        return test_windows(self.boxed("test"), self.side, reach=self.size // 2)

    def train_dataloader(self) -> Iterable[Batch]:
        trainer = self.trainer
        assert trainer is not None
        self.split("train")
        assert self.stream_of is not None
        stream = PatchStream(
            self.stream_of, batch_size=self.batch_size, rank=trainer.global_rank, world_size=trainer.world_size,
            first_number=lambda: cast(int, trainer.lightning_module.images_seen),
        )  # fmt: skip
        return self.loader(stream)  # type: ignore[arg-type]


def boxed_set(source: ImageDataModule, split: str) -> BoxedSet:
    """The images of a split with their boxes, and the faultless twins and masks that the set knows of."""
    images, _ = source.split(split)
    targets = dict(source.targets(split))
    if "template" not in targets and isinstance(source, Inspection):
        names = [one.image.name for one in source.find(split)]
        twins = [twin_of(source.data_dir, split, name) for name in names]
        if all(twin is not None for twin in twins):
            targets["template"] = source.pictures([twin for twin in twins if twin is not None])
    return BoxedSet.of(images, targets, len(source.target_classes))


def twin_of(root: Path, split: str, name: str) -> Path | None:
    """The faultless picture of the image ``name`` below ``clean/``."""
    places = (root / CLEAN / split / name, root / CLEAN / name)
    return next((place for place in places if place.is_file()), None)


def known(boxed: BoxedSet, names: tuple[str, ...], side: int, *, num_real: int | None, seed: int) -> Windows:
    """Windows of ``num_real`` defects of each class (None: all); ValueError where a class has not so many."""
    parts = []
    for label, name in enumerate(names):
        places = boxed.of_class(label, seed=seed, name=name)
        if not len(places):
            raise ValueError(f"the class {name!r} has no training example: label one, or take it off datamodule.source.classes")
        if num_real is not None and len(places) < num_real:
            raise ValueError(
                f"num_real={num_real} is more than the {len(places)} training defects of {name!r}: give num_real={len(places)} or fewer"
            )
        parts.append(boxed.around(places[:num_real], side, real=True))
    return joined(parts)


def test_windows(boxed: BoxedSet, side: int, *, reach: int) -> Windows:
    """All test defects, and four faultless windows an image, which are not of its twin."""
    defects = boxed.around(boxed.places(), side, real=True)
    count = CLEAN_A_TEST_IMAGE * len(boxed.images)  # type: ignore[arg-type]
    return joined([defects, boxed.faultless(count, side, reach=reach, seed=0, twins=False)])


def synthetic_windows(folder: Path, source: ImageDataModule, side: int) -> Windows:
    """Every defect of a folder in COCO's format of the classes of ``source``, with the twins in its folder ``clean``."""
    made = Inspection(
        data_dir=str(folder), classes=list(source.target_classes), channels=source.image_shape[0],
        resolution=source.image_shape[1], batch_size=1, seed=0,
    )  # fmt: skip
    # Without a test split every tenth picture is held out, and all of them were made for training.
    sets = [boxed_set(made, split) for split in made.splits]
    return joined([boxed.around(boxed.places(), side, real=False) for boxed in sets])
