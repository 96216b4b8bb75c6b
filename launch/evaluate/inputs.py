"""What evaluate.py takes for a set of images, and whether two sets may be compared."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from datamodules.base import ImageDataModule
from datamodules.prepared_set import read_description
from generative.rendering.files import ARRAYS, ImageFiles, read_array
from launch.compose import CONFIGS, group_options
from launch.errors import did_you_mean
from metrics.features import Extractor
from metrics.image_sets import ChosenImages, ImagesInMemory, KeptImageSet, has_several_sizes, random_part
from metrics.judge import Judge
from metrics.quality import RECONSTRUCTION_METRICS
from metrics.splits import real_images
from metrics.statistics import Summary, load_summary


def make_datamodule(name: str, changed: dict[str, Any] | None = None) -> ImageDataModule:
    """The data module of ``configs/datamodule/<name>.yaml`` with some settings ``changed``, nothing loaded."""
    options = group_options("datamodule")
    if name not in options:
        raise ValueError(f"{name!r} is neither a file, a folder nor a data module{did_you_mean(name, options)}")
    settings = OmegaConf.load(CONFIGS / "datamodule" / f"{name}.yaml")
    made: ImageDataModule = hydra.utils.instantiate(settings, _partial_=True, _convert_="all")(
        seed=0, **(changed or {})
    )
    return made


def datamodule_of(name: str, *, side: int | None = None) -> tuple[ImageDataModule | None, str | None]:
    """The data module that ``name`` means, and the split after its colon: None where it is a file or a folder of images.

    A folder that ``datamodules.prepare`` made is a set too, at ``side`` pixels where it has them, else at its largest.
    """
    is_path = Path(name).expanduser().exists()
    start, _, own_split = (name, "", "") if is_path else name.partition(":")
    folder = Path(start).expanduser()
    facts = read_description(folder) if folder.is_dir() else None
    if facts is not None:
        resolution = side if side in facts["resolutions"] else max(facts["resolutions"])
        settings = {"data_dir": str(folder), "resolution": resolution, "channels": facts["channels"]}
        found = make_datamodule("images", settings)
        found.name = str(folder)
        return found, own_split or None
    return (None, None) if is_path else (make_datamodule(start), own_split or None)


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


def open_reference(
    name: str, *, split: str, num_reference: int | None, side: int | None = None
) -> KeptImageSet | Summary:
    """What to compare with: images, as above, or a file of statistics."""
    path = Path(name).expanduser()
    if path.suffix.lower() == ".npz" and path.exists() and not is_array_of_images(path):
        if num_reference is not None:
            raise ValueError("num_reference chooses among images, and the reference is a file of statistics")
        return load_summary(path)
    return random_part(open_images(name, split=split, side=side), num_reference)


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


def in_pairs(
    images: KeptImageSet, real: KeptImageSet | Summary | None, settings: dict[str, Any], metrics: list[str]
) -> tuple[KeptImageSet, KeptImageSet | Summary | None]:
    """Both sets in the order in which image k of one belongs to image k of the other, where metrics of pairs are asked for.

    Files belong together by their names. Where one side has none, those of the other must be numbers, each once and
    without a gap, and count its images: as text "10" would come before "2". ValueError where that cannot be.
    """
    if not set(metrics) & set(RECONSTRUCTION_METRICS):
        return images, real
    if settings["num_images"] is not None or settings["num_reference"] is not None:
        raise ValueError("metrics of pairs take both sets whole: leave out num_images= and num_reference=")
    if isinstance(images, ImageFiles) and isinstance(real, ImageFiles):
        for one, other in zip(images.names, real.names, strict=False):
            if Path(one).stem != Path(other).stem:
                raise ValueError(
                    f"{one} of {images.name} would be compared with {other} of {real.name}: give pairs one name"
                )
        return images, real
    if real is None or isinstance(real, Summary):
        return images, real
    return by_number(images, real.name), by_number(real, images.name)


def by_number(images: KeptImageSet, other: str) -> KeptImageSet:
    """Files in the order of the numbers that are their names; sets without names as they are."""
    if not isinstance(images, ImageFiles):
        return images
    stems = [Path(name).stem for name in images.names]
    odd = next((stem for stem in stems if not stem.isdecimal()), None)
    numbers = [] if odd is not None else [int(stem) for stem in stems]
    if odd is not None or sorted(numbers) != list(range(min(numbers), min(numbers) + len(numbers))):
        what = f"has a file {odd!r}" if odd is not None else "has a number twice or leaves one out"
        raise ValueError(
            f"{images.name} {what}, so its files do not say which of the images of {other} each belongs to: name them by "
            "their numbers, 0, 1, 2 and so on, or give a folder with the same names"
        )
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    return images if order == list(range(len(order))) else ChosenImages(images, order, name=images.name)


def check_classes(name: str, images: KeptImageSet, judge: Judge) -> None:
    """ValueError where the classes of the set ``name`` cannot be the judge's; folders that are numbers say themselves which."""
    labels = images.labels()
    if labels is None or (isinstance(images, ImageFiles) and images.folders_are_numbers):
        return
    if isinstance(images, ImageFiles):
        count = int(labels.max()) + 1
    else:
        datamodule, _ = datamodule_of(name)
        count = judge.num_classes if datamodule is None else datamodule.num_classes
    if count != judge.num_classes:
        raise ValueError(
            f"{images.name} has {count} classes and the judge knows {judge.num_classes}: folders, in the order of their "
            "names, must be the classes in their order"
        )
