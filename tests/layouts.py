"""Made-up data in the layout of each published set: noise of the right size, every class in every split."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.prepare import prepare

PER_CLASS = {"train": 6, "test": 2}
WNIDS = [
    "n01440764",
    "n01443537",
    "n02123045",
    "n15075141",
]  # the first two, one within and the last of ImageNet's classes


def noise(count: int, *shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def write_idx(folder: Path, name: str, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    (folder / f"{name}.gz").write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes(), 1))


def write_mnist(folder: Path) -> None:
    folder.mkdir(parents=True)
    for prefix, per_class, seed in (("train", PER_CLASS["train"], 0), ("t10k", PER_CLASS["test"], 1)):
        write_idx(folder, f"{prefix}-images-idx3-ubyte", noise(10 * per_class, 28, 28, seed=seed))
        write_idx(folder, f"{prefix}-labels-idx1-ubyte", np.arange(10 * per_class) % 10)


def write_zip(path: Path, names: list[str], *, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, pixels in zip(names, noise(len(names), side, side, 3, seed=len(names)), strict=True):
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "png", compress_level=1)
            archive.writestr(name, content.getvalue())


def write_classes(root: Path, name: str, classes: list[str], *, side: int, resolution: int, test: str = "test") -> None:
    """A prepared set of class folders under train and ``test``."""
    names = [
        f"{top}/{label}/{i}.png" for split, top in (("train", "train"), ("test", test))
        for label in classes for i in range(PER_CLASS[split] if len(classes) < 1000 else 1)
    ]  # fmt: skip
    write_zip(root / f"{name}.zip", names, side=side)
    prepare(root / f"{name}.zip", root / name, resolutions=[resolution], preset="crop_bilinear")


def write_flat(root: Path, name: str, *, resolution: int) -> None:
    write_zip(root / f"{name}.zip", [f"{i:03d}.png" for i in range(40)], side=16)
    prepare(root / f"{name}.zip", root / name, resolutions=[resolution])


def write_imagenet_c(folder: Path, *, severity: int = 1, wnids: list[str] = WNIDS, side: int = 224) -> None:
    """JPEG files of a corruption's folder, six a class."""
    for wnid in wnids:
        (folder / str(severity) / wnid).mkdir(parents=True)
        for i, pixels in enumerate(noise(6, 7, 7, 3, seed=ord(wnid[-1]))):
            picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)
            picture.save(folder / str(severity) / wnid / f"ILSVRC2012_val_{i:08d}.JPEG")


def write_all(root: Path) -> None:
    """One set for each file of configs/datamodule that reads from disk, at its default resolution."""
    from timm.data import ImageNetInfo

    write_mnist(root / "mnist")
    write_mnist(root / "fashion_mnist")
    write_classes(root, "cifar10", [f"class{i}" for i in range(10)], side=32, resolution=32)
    write_classes(root, "cifar100", [f"class{i:02d}" for i in range(100)], side=32, resolution=32)
    write_classes(root, "imagenet", ImageNetInfo().label_names(), side=8, resolution=64, test="val")
    for name in ("ffhq", "celeba", "lsun", "anime_faces", "images"):
        write_flat(root, name, resolution=64)
    write_imagenet_c(root / "imagenet_c/noise/gaussian_noise")
