"""Sets of photos that are used prepared: ImageNet, FFHQ, CelebA, LSUN, anime faces, and folders of one's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from datamodules.stored import StoredImages


class FFHQ(StoredImages):
    """70,000 faces, no labels."""

    title = "FFHQ"
    num_classes = 0
    counts = {"train": 63_000, "test": 7_000}  # noqa: RUF012 - of 70,000 the last tenth is held out
    source = "fetch images1024x1024 or thumbnails128x128 (NVlabs/ffhq-dataset) as SOURCE"


class CelebA(StoredImages):
    """202,599 faces, no labels used. The chapters' crops: presets celeba_140 (to 64), celeba_aligned (to 128), celeba_108."""

    title = "CelebA"
    num_classes = 0
    counts = {"train": 182_340, "test": 20_259}  # noqa: RUF012
    source = "fetch img_align_celeba.zip (CelebA's page, by hand: its drive refuses programs) as SOURCE"
    preparation = "python -m datamodules.prepare SOURCE {data_dir} --resolution {resolution} --preset celeba_140"


class LSUN(StoredImages):
    """One category, no labels; bedrooms by default."""

    title = "LSUN"
    num_classes = 0
    counts = {}  # noqa: RUF012 - differ by category
    source = "fetch and unpack <category>_train_lmdb.zip (fyu/lsun) and give that folder as SOURCE"


class AnimeFaces(StoredImages):
    """63,632 drawn faces, no labels."""

    title = "Anime faces"
    num_classes = 0
    counts = {"train": 57_269, "test": 6_363}  # noqa: RUF012
    source = "fetch the anime-face-dataset (Kaggle: splcher/animefacedataset) as SOURCE"
    preparation = "python -m datamodules.prepare SOURCE {data_dir} --resolution {resolution} --preset crop_lanczos"


class ImageNet(StoredImages):
    """1,281,167 photos of 1,000 classes. Folders are wnids and sorted wnids the classes, also where some are missing."""

    title = "ImageNet"
    num_classes = 1000
    counts = {"train": 1_281_167, "test": 50_000}  # noqa: RUF012 - the validation split is what papers test on
    source = "put the class folders (wnids) under train and val of one folder and give it as SOURCE"

    def read_prepared(self, facts: dict[str, Any], split: str) -> tuple[Tensor, Tensor]:
        images, labels = super().read_prepared(facts, split)
        return images, imagenet_indices(facts["classes"])[labels]


def imagenet_indices(wnids: list[str]) -> Tensor:
    """The class indices 0 .. 999 of folders named by wnids; ValueError names one that is none."""
    from timm.data import ImageNetInfo  # a second of a program's start, for those who use it only

    places = {name: place for place, name in enumerate(ImageNetInfo().label_names())}
    unknown = next((name for name in wnids if name not in places), None)
    if unknown is not None or not wnids:
        raise ValueError(f"class folders of ImageNet are wnids such as n01440764, not {unknown or 'missing'}")
    return torch.tensor([places[name] for name in wnids])


class OwnImages(StoredImages):
    """A set of one's own: any folder, zip, tar archive or LMDB, prepared. ``num_classes`` 0: no labels."""

    title = "the set"
    counts = {}  # noqa: RUF012
    source = "take your folder, zip, tar archive or LMDB of images as SOURCE"

    def __init__(
        self,
        *,
        data_dir: str,
        resolution: int,
        num_classes: int,
        channels: int = 3,
        batch_size: int,
        seed: int,
        flip: bool = False,
        crop_padding: int = 0,
        num_workers: int = 0,
    ) -> None:
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
        self.num_classes, self.channels = num_classes, channels
        super().__init__(
            data_dir=data_dir,
            resolution=resolution,
            batch_size=batch_size,
            seed=seed,
            flip=flip,
            crop_padding=crop_padding,
            num_workers=num_workers,
        )
