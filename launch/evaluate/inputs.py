"""What evaluate.py takes for a set of images, and whether two sets may be compared."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from generative.rendering.files import ARRAYS, ImageFiles, read_array
from launch.data_sets import datamodule_of
from launch.evaluate.requests import AgainstReference
from metrics.features import Extractor
from metrics.image_sets import ImagesInMemory, KeptImageSet, has_several_sizes, random_part
from metrics.splits import real_images
from metrics.statistics import Summary, load_summary


def open_images(name: str, *, split: str, side: int | None = None) -> KeptImageSet:
    """A folder, a zip, an array file, or a data module or prepared folder (``<name>`` or ``<name>:<split>``)."""
    datamodule, own_split = datamodule_of(name, side=side)
    if datamodule is not None:
        return real_images(datamodule, own_split or split)
    path = Path(name).expanduser()
    if path.suffix.lower() in ARRAYS:
        return ImagesInMemory(name, *read_array(path))
    files = ImageFiles(path)
    for note in files.notes:
        print(f"note: {note}", file=sys.stderr)
    return files


def open_reference(name: str, request: AgainstReference, *, side: int) -> KeptImageSet | Summary:
    """What to compare with: images, as above, or a file of statistics. ``side``: of the images that are measured."""
    path = Path(name).expanduser()
    if path.suffix.lower() == ".npz" and path.exists() and not is_array_of_images(path):
        if request.num_reference is not None:
            raise ValueError("num_reference chooses among images, and the reference is a file of statistics")
        return load_summary(path)
    return random_part(open_images(name, split=request.split, side=side), request.num_reference)


def measured_shape(shape: tuple[int, int, int], real: KeptImageSet | Summary | None) -> tuple[int, int, int]:
    """The shape that an extractor is chosen for: that of the images, or of several sizes where the reference has them."""
    if isinstance(real, Summary) or real is None or not has_several_sizes(real):
        return shape
    return real.shape


def is_array_of_images(path: Path) -> bool:
    """Whether an ``.npz`` holds images; one that cannot be read is left to whoever reads it next."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return bool({"arr_0.npy", "images.npy"} & set(archive.namelist()))


def check_statistics(reference: Summary, extractor: Extractor, image_shape: tuple[int, int, int]) -> None:
    """ValueError where a file of statistics was made by another extractor than that of the images."""
    ours = {
        "extractor": extractor.name,
        "weights": extractor.weights,
        "resize": extractor.resize,
        "image_shape": list(image_shape),
    }
    if 0 in (*reference.facts.get("image_shape", ()), *image_shape):
        del ours["image_shape"]  # of several sizes, each of which is resized as `resize` says
    for key, value in ours.items():
        if key in reference.facts and reference.facts[key] != value:
            name = reference.facts.get("name", "the reference")
            raise ValueError(
                f"the statistics of {name} were made with {key} {reference.facts[key]!r}, and the images are measured with "
                f"{value!r}"
            )
