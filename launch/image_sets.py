"""What evaluate.py takes for a set of images, and whether two sets may be compared."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from callbacks.generation_metrics import real_images
from datamodules.base import ImageDataModule
from generative.metrics.evaluation import ImagesInMemory, KeptImageSet, random_part
from generative.metrics.features import Extractor
from generative.metrics.judge import Judge
from generative.metrics.metrics import RECONSTRUCTION_METRICS
from generative.metrics.statistics import Summary, load_summary
from generative.rendering.files import ARRAYS, ImageFiles, read_array
from launch.compose import CONFIGS, group_options
from launch.errors import did_you_mean


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


def open_images(name: str, *, split: str) -> KeptImageSet:
    """A folder, a zip, an array file, or a data module (``<name>`` or ``<name>:<split>``)."""
    path = Path(name).expanduser()
    if path.exists():
        if path.suffix.lower() in ARRAYS:
            return ImagesInMemory(name, *read_array(path))
        files = ImageFiles(path)
        for note in files.notes:
            print(f"note: {note}", file=sys.stderr)
        return files
    datamodule, _, own_split = name.partition(":")
    return real_images(make_datamodule(datamodule), own_split or split)


def open_reference(name: str, *, split: str, num_reference: int | None) -> KeptImageSet | Summary:
    """What to compare with: images, as above, or a file of statistics."""
    path = Path(name).expanduser()
    if path.suffix.lower() == ".npz" and path.exists() and not is_array_of_images(path):
        if num_reference is not None:
            raise ValueError("num_reference chooses among images, and the reference is a file of statistics")
        return load_summary(path)
    return random_part(open_images(name, split=split), num_reference)


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
    for key, value in ours.items():
        if key in reference.facts and reference.facts[key] != value:
            name = reference.facts.get("name", "the reference")
            raise ValueError(
                f"the statistics of {name} were made with {key} {reference.facts[key]!r}, and the images are measured with "
                f"{value!r}"
            )


def check_pairs(
    images: KeptImageSet, real: KeptImageSet | Summary | None, settings: dict[str, Any], metrics: list[str]
) -> None:
    """ValueError where metrics of pairs would compare images that do not belong together."""
    if not set(metrics) & set(RECONSTRUCTION_METRICS):
        return
    if settings["num_images"] is not None or settings["num_reference"] is not None:
        raise ValueError("metrics of pairs take both sets whole: leave out num_images= and num_reference=")
    if isinstance(images, ImageFiles) and isinstance(real, ImageFiles):
        for one, other in zip(images.names, real.names, strict=False):
            if Path(one).stem != Path(other).stem:
                raise ValueError(
                    f"{one} of {images.name} would be compared with {other} of {real.name}: give pairs one name"
                )


def check_classes(images: KeptImageSet, judge: Judge) -> None:
    """ValueError where the named folders of a set cannot be the classes of the judge; numbers say themselves which."""
    labels = images.labels()
    if not isinstance(images, ImageFiles) or labels is None or images.folders_are_numbers:
        return
    if (count := int(labels.max()) + 1) != judge.num_classes:
        raise ValueError(
            f"{images.name} has {count} class folders and the judge knows {judge.num_classes} classes: sorted folder names "
            "must be the classes in their order"
        )
