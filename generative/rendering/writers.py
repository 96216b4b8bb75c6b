"""Any number of images into files, batch by batch: a folder or an archive of PNG files, or one file of arrays."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from generative.rendering.images import to_pil

Write = Callable[[int, Tensor, Tensor | None], None]  # number of the first image, uint8 [B, C, H, W], labels [B]


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A name to write under, which becomes ``target`` when all is written; nothing is left there when something fails."""
    if target.exists():
        raise ValueError(f"{target} is there already: choose another output=, or remove it")
    path = target.with_name(f".{target.name}.writing")
    if path.exists():
        raise ValueError(
            f"{path} is written by another process, or is what one that was killed has left: choose another output=, or remove it"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield path
        path.rename(target)
    except BaseException:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        raise


def file_name(number: int, label: int | None, count: int) -> str:
    """``<class>/<number>.png``, numbers of one width."""
    name = f"{number:0{max(6, len(str(count - 1)))}}.png"
    return name if label is None else f"{label}/{name}"


def pictures(first: int, images: Tensor, labels: Tensor | None, count: int) -> Iterator[tuple[str, Image.Image]]:
    """Each of some images, the first of which has the number ``first``, with the name of its file."""
    for place, image in enumerate(images):
        label = None if labels is None else int(labels[place])
        yield file_name(first + place, label, count), to_pil(image)


@contextmanager
def png_folder(path: Path, count: int, shape: tuple[int, int, int]) -> Iterator[Write]:
    """A folder for each class, if there are any, and in it a file for each image."""
    path.mkdir()

    def write(first: int, images: Tensor, labels: Tensor | None) -> None:
        for name, picture in pictures(first, images, labels, count):
            (path / name).parent.mkdir(exist_ok=True)
            picture.save(path / name)

    yield write


@contextmanager
def zip_archive(path: Path, count: int, shape: tuple[int, int, int]) -> Iterator[Write]:
    """The files of :func:`png_folder`."""
    with zipfile.ZipFile(path, "x") as archive:

        def write(first: int, images: Tensor, labels: Tensor | None) -> None:
            for name, picture in pictures(first, images, labels, count):
                content = io.BytesIO()
                picture.save(content, "png")
                archive.writestr(zipfile.ZipInfo(name), content.getvalue())  # dated 1980: the same bytes every time

        yield write


@contextmanager
def array_file(path: Path, count: int, shape: tuple[int, int, int]) -> Iterator[Write]:
    """``arr_0`` [N, H, W, C] and ``arr_1``, the labels.

    ``numpy.savez`` would need all images at once; its file is a zip of arrays, which can grow image by image.
    """
    kept: list[Tensor] = []
    channels, height, width = shape
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, height, width, channels)}
    with zipfile.ZipFile(path, "x") as archive:
        with archive.open(zipfile.ZipInfo("arr_0.npy"), "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)

            def write(first: int, images: Tensor, labels: Tensor | None) -> None:
                member.write(images.permute(0, 2, 3, 1).contiguous().numpy().tobytes())
                if labels is not None:
                    kept.append(labels)

            yield write
        if kept:
            with archive.open(zipfile.ZipInfo("arr_1.npy"), "w") as member:
                np.lib.format.write_array(member, torch.cat(kept).numpy())


# Format -> what opens a file of ``count`` images of one ``shape`` and gives the function that adds a batch to it.
WRITERS = {"png": png_folder, "zip": zip_archive, "npz": array_file}
