"""CIFAR-10 and CIFAR-100, 32 x 32 in colour, from the published pickle archives or a prepared set."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import datasets

from datamodules.stored_images import StoredImages, resize_originals


class CIFAR10(StoredImages):
    """60,000 photos of ten classes. ``resolution`` 32, or 16 and 8 by means over blocks."""

    title = "CIFAR-10"
    num_classes = 10
    counts = {"train": 50_000, "test": 10_000}  # noqa: RUF012
    source = "unpack cifar-10-python.tar.gz there, give datamodule.download=true, or take a folder of the images"
    preparation = "python -m datamodules.prepare SOURCE {data_dir} --resolution {resolution} --preset area"
    reader = datasets.CIFAR10

    def read_original(self, split: str) -> tuple[Tensor, Tensor] | None:
        if not self.download and not (self.data_dir / self.reader.base_folder).exists():
            return None
        try:
            read = self.reader(str(self.data_dir), train=split == "train", download=self.download)
        except RuntimeError as error:  # torchvision's checksums
            raise ValueError(f"{self.title} in {self.data_dir} is damaged or incomplete: {error}") from error
        return resize_originals(read.data, self.resolution, preset="area"), torch.tensor(read.targets)


class CIFAR100(CIFAR10):
    """60,000 photos of a hundred classes."""

    title = "CIFAR-100"
    num_classes = 100
    source = "unpack cifar-100-python.tar.gz there, give datamodule.download=true, or take a folder of the images"
    reader = datasets.CIFAR100
