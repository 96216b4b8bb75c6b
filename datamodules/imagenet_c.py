"""ImageNet-C: the validation photos of ImageNet under one corruption of one severity, to test on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.corruptions import KINDS, SEVERITIES, check_severity, corrupt, kind_of, load_package
from datamodules.file_rows import FileRows
from datamodules.imagenet import ImageNet, imagenet_indices
from datamodules.presets import crop_bilinear
from datamodules.stored_images import StoredImages
from generative.rendering.containers.formats import is_image
from generative.rendering.images import to_pil
from generative.rendering.pictures import open_picture

SIDE = 224  # of the published images: the centre of photos whose short side is BEFORE_CUT
BEFORE_CUT = 256
QUALITY = 85  # of the published JPEG files, part of what every published number was measured on
SEED = 0  # not that of a run: all are tested on the same pixels


class ImageNetC(StoredImages):
    """50,000 photos for each of 19 corruptions and five severities, decoded when a batch asks: 7.5 GB of pixels a set.

    ``data_dir`` holds the published folders, ``<corruption>/<severity>/<wnid>``, or those of the archives around them
    (``noise/gaussian_noise``). With ``regenerate`` the images are computed from the validation split of ``imagenet_dir``
    instead, prepared at 256 pixels, and the set's name says so.
    """

    title = "ImageNet-C"
    num_classes = 1000
    counts = {"test": 50_000}  # noqa: RUF012
    splits = ("test",)

    def __init__(
        self,
        *,
        data_dir: str,
        imagenet_dir: str,
        corruption: str,
        severity: int,
        resolution: int,
        regenerate: bool = False,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            data_dir=data_dir, resolution=resolution, batch_size=batch_size, seed=seed, num_workers=num_workers
        )
        self.kind = kind_of(corruption)
        check_severity(severity)
        self.corruption, self.severity = corruption, severity
        self.imagenet_dir, self.regenerate = imagenet_dir, regenerate
        self.name = f"imagenet_c_{corruption}_{severity}{'_regenerated' if regenerate else ''}"

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        return self.regenerated() if self.regenerate else super().load(split)

    def read_prepared(self, facts: dict[str, Any], split: str) -> tuple[Tensor, Tensor]:
        raise ValueError(
            f"{self.data_dir} is a prepared set, which does not say its corruption: unpack the archives there"
        )

    def read_original(self, split: str) -> tuple[Tensor, Tensor] | None:
        folder = corruption_folder(self.data_dir, self.corruption)
        if folder is None:
            return None
        there = severities_in(folder)
        if self.severity not in there:
            raise ValueError(
                f"{folder} has no severity {self.severity}, but {in_a_row(there) or 'none'}: unpack {self.kind}.tar again"
            )
        files = sorted(file for file in (folder / str(self.severity)).glob("*/*") if is_image(file))
        if not files:
            raise ValueError(
                f"{folder / str(self.severity)} has no images in class folders: unpack {self.kind}.tar again"
            )
        wnids = sorted({file.parent.name for file in files})
        classes = dict(zip(wnids, imagenet_indices(wnids).tolist(), strict=True))
        labels = torch.tensor([classes[file.parent.name] for file in files])
        return cast(Tensor, FileRows(files, self.decode, self.image_shape)), labels

    def explain(self) -> str:
        return (
            f"{self.title}'s {self.corruption} is not in {self.data_dir}: unpack {self.kind}.tar there (Zenodo, record "
            "2235448), or give datamodule.regenerate=true to compute it from ImageNet"
        )

    def decode(self, file: Path) -> Tensor:
        with open_picture(file.read_bytes(), str(file)) as picture:
            if picture.size != (SIDE, SIDE):
                raise ValueError(
                    f"{file} has {picture.width} x {picture.height} pixels, and the published images {SIDE} x {SIDE}: unpack "
                    f"{self.kind}.tar again"
                )
            try:
                return resize_photo(picture, self.resolution)
            except (OSError, SyntaxError) as error:
                raise ValueError(f"{file} is damaged ({error}): unpack {self.kind}.tar again") from error

    def regenerated(self) -> tuple[Tensor, Tensor]:
        load_package()  # says what is missing before a loading process does
        imagenet = ImageNet(data_dir=self.imagenet_dir, resolution=BEFORE_CUT, batch_size=1, seed=self.seed)
        photos, labels = imagenet.split("test")
        rows = CorruptedRows(photos, corruption=self.corruption, severity=self.severity, resolution=self.resolution)
        return cast(Tensor, rows), labels


def corruption_folder(data_dir: Path, corruption: str) -> Path | None:
    """Where the published images of a corruption lie; None where they do not."""
    places = (data_dir / corruption, data_dir / kind_of(corruption) / corruption)
    return next((place for place in places if place.is_dir()), None)


def severities_in(folder: Path) -> list[int]:
    return [severity for severity in SEVERITIES if (folder / str(severity)).is_dir()]


def in_a_row(severities: list[int]) -> str:
    return ", ".join(map(str, severities))


def check_all_there(data_dir: Path) -> None:
    """ValueError that names all that is missing of the fifteen corruptions at five severities, and where to put it."""
    lacks: dict[str, list[int]] = {}
    for corruption in (name for names in KINDS.values() for name in names):
        folder = corruption_folder(data_dir, corruption)
        there = severities_in(folder) if folder is not None else []
        if missing := [severity for severity in SEVERITIES if severity not in there]:
            lacks[corruption] = missing
    if lacks:
        named = [
            corruption if len(missing) == len(SEVERITIES) else f"{corruption} {in_a_row(missing)}"
            for corruption, missing in lacks.items()
        ]
        archives = [f"{kind}.tar" for kind in KINDS if kind in map(kind_of, lacks)]
        raise ValueError(
            f"{sum(map(len, lacks.values()))} of the 75 sets of ImageNet-C are not in {data_dir} ({'; '.join(named)}): unpack "
            f"{', '.join(archives)} there (Zenodo, record 2235448), or give corruptions=regenerated to compute all of them "
            "from ImageNet"
        )


class CorruptedRows:
    """Photos uint8 [N, 3, 256, 256], indexed like a tensor of what the authors' pipeline makes of them: cut, corrupted, JPEG."""

    dtype = torch.uint8
    ndim = 4

    def __init__(self, photos: Tensor, *, corruption: str, severity: int, resolution: int) -> None:
        self.photos, self.corruption, self.severity, self.resolution = photos, corruption, severity, resolution
        self.shape = torch.Size((len(photos), 3, resolution, resolution))

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        numbers = range(len(self))[chosen] if isinstance(chosen, slice) else chosen.tolist()
        rows = [self.row(number) for number in numbers]
        return torch.stack(rows) if rows else torch.empty((0, *self.shape[1:]), dtype=self.dtype)

    def row(self, number: int) -> Tensor:
        border = (BEFORE_CUT - SIDE) // 2
        photo = self.photos[number : number + 1, :, border : border + SIDE, border : border + SIDE]
        made = corrupt(photo, corruption=self.corruption, severity=self.severity, seed=SEED, first_number=number)
        file = io.BytesIO()
        to_pil(made[0]).save(file, "JPEG", quality=QUALITY)
        return resize_photo(Image.open(file), self.resolution)


def resize_photo(picture: Image.Image, resolution: int) -> Tensor:
    """uint8 [3, resolution, resolution]: as it is, where that is its size."""
    square = crop_bilinear(picture.convert("RGB"), resolution)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)
