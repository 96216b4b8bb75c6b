"""What every data set states, and the loaders that it gets for it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from datamodules.batches import (
    Augment,
    Augmentation,
    Batch,
    EvaluationBatches,
    ForkingLoader,
    JoinedRows,
    Order,
    Rows,
    TrainingStream,
    leave_signals_to_the_rank,
)
from datamodules.corruptions import corrupt
from datamodules.rare import check_rare, known_rows
from datamodules.splits import REST, WHOLE, check_part, chosen_rows, lies_in_part
from generative.rendering.images import to_uint8
from generative.schedules import Steps

VALIDATION = "validation"  # a split that some sets hold out of training, to look at while a method trains


class ImageDataModule(LightningDataModule):
    """Base of all data modules. A subclass states the class attributes and :meth:`load`.

    ``batch_size`` is the number of images in a step over all ranks together; ``batch_sizes``, rows [from_kimg, images], lets
    that of training change as a run goes on. ``flip`` and ``crop_padding`` augment the
    training images, as functions of the seed and the image's number in the run. ``num_workers`` processes of each rank
    make the batches, the same whatever their number; 0: the process that trains. ``train_part``: the share of the training
    images that is trained on, from 0 to 1 by their places in the set (:func:`datamodules.splits.lies_in_part`); the others
    are the split ``rest``. ``rare``: class -> how many of its images are trained on, as if no others were known; of those in
    ``rest`` as large a share is left, and at least one (:func:`datamodules.rare.known_rows`). Which ones they are depends on
    ``rare_seed`` and not on the run's seed.
    """

    name: str  # what results call the set
    image_shape: tuple[int, int, int]  # channels, height, width
    num_classes: int  # 0: no labels
    label_names: tuple[str, ...] = ()  # names of the classes of images, where the set states them
    target_classes: tuple[str, ...] = ()  # names of the classes of a mask's pixels or of boxes
    splits: tuple[str, ...] = ("train", "test")

    def __init__(
        self,
        *,
        batch_size: int,
        seed: int,
        flip: bool = False,
        crop_padding: int = 0,
        num_workers: int = 0,
        train_part: list[float] | None = None,
        rare: dict[str, int] | None = None,
        rare_seed: int = 0,
        batch_sizes: list[list[float]] | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if crop_padding < 0:
            raise ValueError(f"crop_padding must be at least 0, got {crop_padding}")
        if num_workers < 0:
            raise ValueError(f"num_workers must be at least 0, got {num_workers}")
        self.train_part = WHOLE if train_part is None else check_part(train_part)
        for setting, cut in {"train_part": self.train_part if self.holds_out else None, "rare": rare}.items():
            if cut and self.target_classes:
                raise ValueError(f"{setting}={cut} cuts sets with classes of images alone: leave it out here")
        if rare_seed < 0:
            raise ValueError(f"rare_seed must be at least 0, got {rare_seed}")
        self.asked_rare, self.rare_seed = rare or {}, rare_seed
        self.augmentation: Augment = Augmentation(seed, flip=flip, crop_padding=crop_padding)
        self.batch_size = batch_size
        self.batch_sizes = Steps(batch_sizes or [[0, batch_size]], name="datamodule.batch_sizes")
        self.name = type(self).__name__.lower()
        self.seed = seed
        self.num_workers = num_workers
        self.arrays: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def test_size(self) -> tuple[int, int]:
        """Height and width of the images of the test split, which some sets show whole and train on in crops."""
        return self.image_shape[1:]

    @abstractmethod
    def load(self, split: str) -> tuple[Rows, Tensor]:
        """Read ``split`` from disk: images [N, C, H, W], uint8 or float32 in [-1, 1], and labels [N] int64.

        The images may be :class:`datamodules.file_rows.FileRows`, which are indexed like a tensor.
        """

    def targets(self, split: str) -> Mapping[str, Rows]:
        """What else belongs to each image of ``split``, in batches under the same names.

        "mask" [N, H, W] uint8: the class of each pixel, or NO_CLASS. "boxes" [N, K, 4] float32: left, top, right and
        bottom edges in pixels, with "box_label" [N, K] int64: their class, or -1 where a row has fewer than K. Further
        pictures [N, C, H, W] uint8.
        """
        return {}

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Images and labels of a split, of ``"all"`` images one split after the other, or of ``"rest"``; read once, then kept.

        The images may be a view of files or of other splits, which is indexed like a tensor.
        """
        if name == "train" and "train" not in self.splits:
            raise ValueError(f"{self.name} is a set to test on only: train on another one")
        if name == "all" and len(self.splits) == 1:
            return self.split(self.splits[0])
        if name == "all":
            parts = [self.whole_split(part) for part in self.splits]
            labels = torch.cat([labels for _, labels in parts])
            if any(images.dtype != torch.uint8 for images, _ in parts):  # small sets, in memory as floats
                return torch.cat([images[:] for images, _ in parts]), labels
            return cast(Tensor, JoinedRows([images for images, _ in parts])), labels
        is_part = name == "train" or (name == REST and self.holds_out)
        if not (self.is_cut and is_part):
            return self.whole_split(name)
        if name not in self.arrays:
            self.arrays[name] = chosen_rows(*self.whole_split("train"), self.rows_of(name))
        return self.arrays[name]

    def rows_of(self, name: str) -> Tensor:
        """Which of all the training images are in the split ``name``, "train" or "rest": bool [N]."""
        _, labels = self.whole_split("train")
        inside = lies_in_part(len(labels), self.train_part)
        known = known_rows(labels, inside, check_rare(self.asked_rare, self.num_classes), seed=self.rare_seed)
        return known & (inside if name == "train" else ~inside)

    def places(self, name: str) -> Tensor:
        """The numbers that the images of "train" or "rest" have among all the training images: int64 [N]."""
        return self.rows_of(name).nonzero()[:, 0]

    @property
    def holds_out(self) -> bool:
        """Whether some training images are not trained on: the split ``rest``."""
        return self.train_part != WHOLE

    @property
    def is_cut(self) -> bool:
        """Whether some training images are not trained on, held out or as if they were not known."""
        return self.holds_out or bool(self.asked_rare)

    def whole_split(self, name: str) -> tuple[Tensor, Tensor]:
        """As :meth:`split`, whatever the part that is trained on, with all images of a rare class."""
        if name == REST:
            raise ValueError(
                f"all training images of {self.name} are trained on: +datamodule.train_part=[0,0.9] leaves some"
            )
        if name not in self.splits:
            raise ValueError(f"unknown split {name!r}: choose one of {', '.join(self.splits)} or all")
        key = f"{name}, whole" if self.is_cut else name
        if key not in self.arrays:
            images, labels = self.load(name)
            self.arrays[key] = cast(Tensor, images), labels  # files are indexed like one
        return self.arrays[key]

    def known_fingerprint(self, split: str) -> str | None:
        """That of the images of ``split`` (:func:`generative.rendering.images.fingerprint`), if the set's files state it."""
        return None

    def corrupted(self, split: str, numbers: Tensor, *, corruption: str, severity: int, seed: int) -> Tensor:
        """Images number ``numbers`` [N] of a split under a common corruption, uint8 [N, 3, H, W].

        Computed anew by :mod:`datamodules.corruptions`: whoever shows them says so.
        """
        images = self.split(split)[0]
        rows = [images[number : number + 1] for number in numbers.tolist()]
        return torch.cat(
            [
                corrupt(
                    row if row.dtype == torch.uint8 else to_uint8(row),
                    corruption=corruption,
                    severity=severity,
                    seed=seed,
                    first_number=number,
                )
                for row, number in zip(rows, numbers.tolist(), strict=True)
            ]
        )

    def at_resolution(self, resolution: int) -> ImageDataModule:
        """The same images at another resolution; ValueError where there is only one."""
        raise ValueError(
            f"{self.name} has images of {' x '.join(map(str, self.image_shape[1:]))} pixels only: give a model of a data set "
            "that can be had larger, such as fashion_mnist"
        )

    def setup(self, stage: str) -> None:
        self.split("test" if stage == "test" else "train")

    def rows(self, split: str) -> Mapping[str, Rows]:
        """What a batch is made of."""
        images, labels = self.split(split)
        return {"image": images, "label": labels, **self.targets(split)}

    def order(self) -> Order | None:
        """Which training row each image number of the run shows; None: every row once an epoch."""
        return None

    def loader(self, batches: TrainingStream | EvaluationBatches) -> Iterable[Batch]:
        if self.num_workers == 0:
            return batches
        # Forked, since the arrays are not to be copied.
        return ForkingLoader(
            batches,
            batch_size=None,
            num_workers=self.num_workers,
            multiprocessing_context="fork",
            worker_init_fn=leave_signals_to_the_rank,
            generator=torch.Generator(),  # the global one is left as it is without loading processes
        )

    def train_dataloader(self) -> Iterable[Batch]:
        trainer = self.trainer
        assert trainer is not None
        stream = TrainingStream(
            self.rows("train"),
            batch_sizes=self.batch_sizes,
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            first_number=lambda: cast(int, trainer.lightning_module.images_seen),
            augmentation=self.augmentation,
            order=self.order(),
        )
        return self.loader(stream)

    def evaluation_batches(self, split: str) -> Iterable[Batch]:
        """Every image of ``split`` once, over all ranks together."""
        trainer = self.trainer
        assert trainer is not None
        batches = EvaluationBatches(
            self.rows(split), batch_size=self.batch_size, rank=trainer.global_rank, world_size=trainer.world_size
        )
        return self.loader(batches)

    def test_dataloader(self) -> Iterable[Batch]:
        return self.evaluation_batches("test")


class ImagesOnDisk(ImageDataModule):
    """Base of the sets that lie in the folder ``data_dir`` and are shown at ``resolution`` pixels, each in its own way."""

    def __init__(self, *, data_dir: str, resolution: int, **given: Any) -> None:
        super().__init__(**given)
        if resolution < 1:
            raise ValueError(f"resolution must be at least 1 pixel, got {resolution}")
        self.data_dir, self.resolution = Path(data_dir).expanduser(), resolution
