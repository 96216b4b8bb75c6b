"""Handwritten digits and articles of clothing, 28 x 28 grey, in the IDX files of their publishers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

from datamodules.stored_images import StoredImages, read_idx, resize_originals

SIDE = 28  # pixels of the published images
PADDED = 32


class MNIST(StoredImages):
    """70,000 handwritten digits. ``resolution`` 28, or 32 within a black border.

    Smaller by means over blocks: 14 and 7 of the 28 pixels a side, 16 and 8 of the 32.
    """

    title = "MNIST"
    num_classes = 10
    channels = 1
    counts = {"train": 60_000, "test": 10_000}  # noqa: RUF012
    source = "put train-images-idx3-ubyte.gz and the three files beside it there, or give datamodule.download=true"
    downloader = datasets.MNIST

    def read_original(self, split: str) -> tuple[Tensor, Tensor] | None:
        prefix = "train" if split == "train" else "t10k"
        for folder in (self.data_dir, self.data_dir / self.downloader.__name__ / "raw"):
            images = read_idx(folder, f"{prefix}-images-idx3-ubyte")
            labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte")
            if images is not None and labels is not None:
                if len(images) != len(labels):
                    raise ValueError(
                        f"{folder} has {len(images)} {split} images and {len(labels)} labels: fetch the files again"
                    )
                return self.at_size(images), torch.from_numpy(labels.astype(np.int64))
        if not self.download:
            return None
        self.downloader(str(self.data_dir), train=split == "train", download=True)
        self.download = False
        return self.read_original(split)

    def at_size(self, images: np.ndarray) -> Tensor:
        """The files' images [N, 28, 28] as uint8 [N, 1, resolution, resolution]."""
        if self.resolution >= SIDE:
            return resize_originals(images, self.resolution, preset="pad")
        if SIDE % self.resolution == 0 and PADDED % self.resolution:
            return resize_originals(images, self.resolution, preset="area")
        padded = resize_originals(images, PADDED, preset="pad")[:, 0].numpy()
        return resize_originals(padded, self.resolution, preset="area")

    def explain(self) -> str:
        return f"{self.title} is not in {self.data_dir}: {self.source}"


class FashionMNIST(MNIST):
    """70,000 articles of clothing in the same format (Debian: package dataset-fashion-mnist)."""

    title = "Fashion-MNIST"
    downloader = datasets.FashionMNIST
