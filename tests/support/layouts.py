"""Made-up data in the layout of each published set: noise of the right size, every class in every split."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.preparation import prepare
from tests.support.defects import write_boards

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


def write_pictures(folder: Path, names: list[str], *, side: int, seed: int, channels: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shape = (side, side) if channels == 1 else (side, side, 3)
    for name, pixels in zip(names, noise(len(names), *shape, seed=seed), strict=True):
        Image.fromarray(pixels).save(folder / name)


def write_several_sets(folder: Path) -> None:
    """A set as ``datamodules.prepare`` leaves it, and a folder of images of other sizes."""
    write_flat(folder, "faces", resolution=64)
    write_pictures(folder / "drawn", [f"{i:03d}.png" for i in range(30)], side=70, seed=8)


def write_deeppcb(folder: Path, *, side: int = 32) -> None:
    """Two kinds of boards for training, a third for testing; one to three boxes a board."""
    for seed, (listed, group, count) in enumerate(
        [("trainval.txt", "00041", 10), ("trainval.txt", "12000", 4), ("test.txt", "90100", 5)]
    ):
        names = [f"{group}{i:03d}" for i in range(count)]
        images, boxes = (folder / "PCBData" / f"group{group}" / f"{group}{suffix}" for suffix in ("", "_not"))
        for kind in ("test", "temp"):
            files = [f"{name}_{kind}.jpg" for name in names]
            write_pictures(images, files, side=side, seed=2 * seed + (kind == "temp"), channels=1)
        boxes.mkdir()
        for i, name in enumerate(names):
            rows = [f"{2 + j} {i} {10 + i} {20 + j} {(i + j) % 6 + 1}" for j in range(i % 3 + 1)]
            (boxes / f"{name}.txt").write_text("\n".join(rows))
        with (folder / "PCBData" / listed).open("a") as file:
            file.writelines(f"group{group}/{group}/{name}.jpg group{group}/{group}_not/{name}.txt\n" for name in names)


def coco(names: list[str], *, classes: list[str], box: tuple[float, ...] = (4, 2, 10, 20)) -> dict[str, object]:
    """One box on every second image; ids that start at 7."""
    return {
        "images": [{"id": 7 + i, "file_name": name} for i, name in enumerate(names)],
        "categories": [{"id": 3 + i, "name": name} for i, name in enumerate(classes)],
        "annotations": [
            {"id": i, "image_id": 7 + i, "category_id": 3 + i % len(classes), "bbox": list(box)}
            for i in range(0, len(names), 2)
        ],
    }


def write_inspection(folder: Path) -> None:
    for seed, (split, count) in enumerate({"train": 20, "test": 5}.items()):
        names = [f"{i:02d}.png" for i in range(count)]
        write_pictures(folder / split, names, side=40, seed=seed)
        (folder / f"{split}.json").write_text(json.dumps(coco(names, classes=["defect"])))


def with_classes(values: list[int], *, height: int, width: int, seed: int) -> tuple[Image.Image, Image.Image]:
    """Noise whose red says the class of its pixel, 12 a class, and the mask: blocks of the values in turn."""
    random = np.random.default_rng(seed)
    places = random.integers(0, len(values), (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)
    pixels = random.integers(0, 12, (height, width, 3), dtype=np.uint8)
    pixels[..., 0] = 12 * places[:height, :width] + 6
    return Image.fromarray(pixels), Image.fromarray(np.array(values, np.uint8)[places[:height, :width]])


def write_voc(folder: Path, *, per_split: int = 14) -> None:
    """Of several sizes; a palette in the masks, and a border of no class."""
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    for number, split in enumerate(("train", "val")):
        names = [f"{2007 + number}_{i:06d}" for i in range(per_split)]
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for i, name in enumerate(names):
            size = {"height": 30 + i, "width": 44 - i}
            image, mask = with_classes(list(range(21)), **size, seed=100 * number + i)
            image.save(folder / "JPEGImages" / f"{name}.jpg", quality=100, subsampling=0)
            mask.paste(255, (0, 0, 3, size["height"]))
            mask.putpalette(bytes(range(256)) * 3)
            mask.save(folder / "SegmentationClass" / f"{name}.png")


def write_cityscapes(folder: Path, *, height: int = 40, per_city: int = 7) -> None:
    ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33, 0, 4]  # the last two: of no class
    for number, place in enumerate(("train/aachen", "train/bochum", "val/lindau", "val/munster")):
        images, masks = folder / "leftImg8bit" / place, folder / "gtFine" / place
        for part in (images, masks):
            part.mkdir(parents=True)
        for i in range(per_city):
            image, mask = with_classes(ids, height=height, width=2 * height, seed=100 * number + i)
            name = f"{images.name}_{i:06d}_000019"
            image.save(images / f"{name}_leftImg8bit.png")
            mask.save(masks / f"{name}_gtFine_labelIds.png")


def write_image_masks(folder: Path, *, per_split: int = 14, values: tuple[int, ...] = (0, 1)) -> None:
    """Lying and standing, 48 pixels on the longer side."""
    for number, split in enumerate(("train", "test")):
        images, masks = folder / split / "images", folder / split / "masks"
        for part in (images, masks):
            part.mkdir(parents=True)
        for i in range(per_split):
            height, width = (48, 30 + i) if i % 2 else (30 + i, 48)
            image, mask = with_classes(list(values), height=height, width=width, seed=100 * number + i)
            image.save(images / f"{i:02d}.png")
            mask.save(masks / f"{i:02d}.png")


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
    write_several_sets(root / "several_sets")
    (root / "arrays").mkdir()
    np.savez(root / "arrays" / "train.npz", images=noise(40, 32, 32, 3, seed=3), labels=np.zeros(40, np.int64))
    write_deeppcb(root / "deeppcb")
    write_boards(root / "boards", count=4)
    write_inspection(root / "inspection")
    write_voc(root / "voc2012" / "VOCdevkit" / "VOC2012")
    write_cityscapes(root / "cityscapes")
    write_image_masks(root / "image_masks")
    write_imagenet_c(root / "imagenet_c/noise/gaussian_noise")
