"""PASCAL VOC 2012: photos of up to 500 x 500 pixels, a class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchvision import datasets

from datamodules.segmentation import SegmentationDataModule
from datamodules.splits import check_apart
from generative.rendering.masks import NO_CLASS

LISTS = Path("ImageSets", "Segmentation")
AUGMENTED_MASKS = "SegmentationClassAug"
BORDER = 255  # of objects, in the masks
AUGMENTED_TRAIN = 10_582  # images of trainaug.txt


class VOC2012(SegmentationDataModule):
    """1,464 photos to train on and, as papers do, the 1,449 for validation to test on; 20 classes and the background.

    Photos are tested on as they are, top left on a black square of ``resolution`` pixels. ``augmented`` takes the
    masks of SBD (10,582 photos) to train on.
    """

    title = "PASCAL VOC 2012"
    source = "unpack VOCtrainval_11-May-2012.tar there, or give datamodule.download=true"
    remedy = "fetch it again, or take datamodule=image_masks for masks of your own"
    values = {**{number: number for number in range(21)}, BORDER: NO_CLASS}  # noqa: RUF012
    target_classes = (
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
        "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    )  # fmt: skip

    def __init__(
        self,
        *,
        augmented: bool = False,
        download: bool = False,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self.augmented, self.download = augmented, download
        self.counts = {"train": AUGMENTED_TRAIN if augmented else 1_464, "test": 1_449}

    def find(self) -> Path | None:
        """The folder VOC2012, which ``data_dir`` is or holds, also within VOCdevkit."""
        folders = (self.data_dir, self.data_dir / "VOC2012", self.data_dir / "VOCdevkit" / "VOC2012")
        return next((folder for folder in folders if (folder / LISTS).is_dir()), None)

    def pairs(self, split: str) -> list[tuple[Path, Path]]:
        folder = self.find()
        if folder is None and self.download:
            self.fetch()
            folder = self.find()
        if folder is None:
            raise ValueError(self.explain())
        augmented = self.augmented and split == "train"
        names = read_list(
            folder / LISTS / ("val.txt" if split == "test" else "trainaug.txt" if augmented else "train.txt")
        )
        if split == "train":
            check_apart(names, read_list(folder / LISTS / "val.txt"), folder)
        masks = folder / (AUGMENTED_MASKS if augmented else "SegmentationClass")
        return [(folder / "JPEGImages" / f"{name}.jpg", masks / f"{name}.png") for name in names]

    def fetch(self) -> None:
        try:
            datasets.VOCSegmentation(str(self.data_dir), year="2012", download=True)
        except (RuntimeError, OSError) as error:  # torchvision's checksums; the network
            raise ValueError(
                f"{self.title} cannot be downloaded ({error}): fetch VOCtrainval_11-May-2012.tar and unpack it in {self.data_dir}"
            ) from error

    def check_values(self, seen: Mapping[int, Path]) -> None:
        super().check_values(seen)
        if BORDER in seen and seen.keys() <= {0, BORDER}:
            raise ValueError(
                f"{seen[BORDER]} and the masks beside it hold no class but 0 (background) and {BORDER}, which stands for a border "
                f"of no class in {self.title}: if {BORDER} is an object, these are masks of your own, take datamodule=image_masks"
            )

    def shown_size(self, path: Path, size: tuple[int, int]) -> tuple[int, int]:
        if max(size) > self.canvas[0]:
            raise ValueError(
                f"{path} is {size[0]} x {size[1]} pixels, larger than datamodule.resolution={self.canvas[0]}: give {max(size)}"
            )
        return size


def read_list(path: Path) -> list[str]:
    """The names of a list of images, one a line, also where it gives the paths of image and mask, as SBD's does."""
    if not path.exists():
        augmented = f" and the masks as {AUGMENTED_MASKS}, or give datamodule.augmented=false"
        raise ValueError(
            f"{path} is missing: "
            + (f"put SBD's list there{augmented}" if path.stem == "trainaug" else "unpack the archive again")
        )
    return [Path(line.split()[0]).stem for line in path.read_text().splitlines() if line.strip()]
