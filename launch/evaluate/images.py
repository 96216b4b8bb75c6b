"""The images of a folder, zip, array file or data module against those of another or against saved statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datamodules.base import ImageDataModule
from generative.rendering.files import ImageFiles
from launch.data_sets import datamodule_of
from launch.evaluate.inputs import check_statistics, measured_shape, open_images, open_reference
from launch.evaluate.instruments import PictureMaker, picture_of, prepare_instruments
from launch.evaluate.requests import ImagesRequest
from metrics.evaluation import Instruments
from metrics.image_sets import ChosenImages, KeptImageSet, random_part
from metrics.judge import Judge
from metrics.quality import CLASS_METRICS, COMPARISONS, DEFAULT_METRICS, RECONSTRUCTION_METRICS, needs
from metrics.statistics import Summary
from records.results import EVALUATION, Making, measured_result


def measure_images(request: ImagesRequest) -> tuple[list[dict[str, Any]], PictureMaker | None]:
    """The record of a set of images, and the picture that ``show_nearest`` asks for."""
    whole = open_images(request.images, split=request.split)
    images = random_part(whole, request.num_images)
    metrics = request.metrics or list(DEFAULT_METRICS)
    real, labelled = reference_of(request, metrics, side=images.shape[1])
    images, real = in_pairs(images, real, request, metrics)
    shape = measured_shape(images.shape, real)
    instruments, facts = prepare_instruments(request, metrics, image_shape=shape, labelled=labelled)
    if instruments.judge is not None:
        check_classes(request.images, whole, instruments.judge)
    if isinstance(real, Summary):
        check_statistics(real, instruments.extractor, images.shape)
    shown = request.show_nearest
    picture = None if shown is None else nearest_picture(images, real, instruments, count=shown)
    origin = {"images": request.images, "stage": EVALUATION}
    record = measured_result(images, real, instruments, Making(samples="images as given"), origin)
    return [record | facts], picture


def reference_of(
    request: ImagesRequest, metrics: list[str], *, side: int
) -> tuple[KeptImageSet | Summary | None, ImageDataModule | None]:
    """What to compare with, and the data module that it is of, where that has classes for a judge to learn."""
    if request.reference is None:
        if any(needs(metrics, generated=False).values()) or not set(metrics) & {*COMPARISONS, *CLASS_METRICS}:
            raise ValueError(
                "say what to compare with: reference=<folder, prepared set, zip, array file, data module or saved statistics>"
            )
        return None, None
    real = open_reference(request.reference, request, side=side)
    datamodule = None if isinstance(real, Summary) else datamodule_of(request.reference, side=side)[0]
    return real, datamodule if datamodule is not None and datamodule.num_classes else None


def nearest_picture(
    images: KeptImageSet, real: KeptImageSet | Summary | None, instruments: Instruments, *, count: int
) -> PictureMaker:
    """``count`` of the images, each above those of the reference that come nearest to it."""
    if real is None or isinstance(real, Summary):
        raise ValueError("show_nearest= looks for the nearest images: give images as reference")
    return picture_of(random_part(images, min(count, len(images))), real, instruments)


def in_pairs(
    images: KeptImageSet, real: KeptImageSet | Summary | None, request: ImagesRequest, metrics: list[str]
) -> tuple[KeptImageSet, KeptImageSet | Summary | None]:
    """Both sets in the order in which image k of one belongs to image k of the other, where metrics of pairs are asked for.

    Files belong together by their names. Where one side has none, those of the other must be numbers, each once and
    without a gap, and count its images: as text "10" would come before "2". ValueError where that cannot be.
    """
    if not set(metrics) & set(RECONSTRUCTION_METRICS):
        return images, real
    if request.num_images is not None or request.num_reference is not None:
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
