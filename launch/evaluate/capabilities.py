"""A trained method, measured by all that it can do: it draws, it makes images again, it is tested on its own data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from datamodules.base import ImageDataModule
from generative.ranks import rank_and_world_size
from launch.build import bare_trainer
from launch.checkpoint import load_method
from launch.evaluate.inputs import check_statistics, measured_shape, open_reference
from launch.evaluate.instruments import PictureMaker, picture_of, prepare_instruments
from launch.evaluate.judges import extractor_of
from launch.evaluate.requests import CheckpointRequest, MeasuringRequest, check_read, given, settings_in, settings_of
from lightning_modules.base import Draws, Method, Reconstructs
from lightning_modules.labels import labels_to_follow
from metrics.evaluation import Instruments
from metrics.features import Extractor
from metrics.image_sets import KeptImageSet, random_part
from metrics.judge import can_judge
from metrics.protocols import was_met
from metrics.quality import CLASS_METRICS, DEFAULT_METRICS, RECONSTRUCTION_METRICS, SSIM_WINDOW
from metrics.samples import DrawnImages
from metrics.splits import real_images
from metrics.statistics import Summary
from records.results import EVALUATION, Drawing, Origin, published_result, reconstruction_result, test_record

# The settings that are read for tests of a method by its own measures, and for what it makes again.
OF_TESTS = settings_of(MeasuringRequest) | {"checkpoint"}
OF_RECONSTRUCTIONS = OF_TESTS | {"extractor", "weights", "metrics", "batch_size"}


def measure_checkpoint(request: CheckpointRequest) -> tuple[list[dict[str, Any]], PictureMaker | None]:
    """A record for each capability that the method is measured by, and the picture that ``show_nearest`` asks for."""
    method, datamodule = load_method(Path(request.checkpoint), device=request.device)
    asked = asked_of(method, request.metrics)
    check_reads(method, request, asked)
    check_alone(method)
    records: list[dict[str, Any]] = []
    picture = None
    if isinstance(method, Draws) and "samples" in asked:
        record, picture = measure_samples(method, datamodule, request, asked["samples"])
        records.append(record)
    if isinstance(method, Reconstructs) and "reconstructions" in asked:
        records.append(measure_reconstructions(method, datamodule, request, asked["reconstructions"]))
    return records + own_tests(method, datamodule, origin_of(request.checkpoint)), picture


def asked_of(method: Method, metrics: list[str] | None) -> dict[str, list[str] | None]:
    """What is measured with metrics that can be chosen, ``samples`` or ``reconstructions`` -> those asked of it.

    None stands for its own default. A method that has both is asked by ``metrics`` for those of pairs of images of its
    reconstructions, for the others of its samples.
    """
    kinds = {"samples": isinstance(method, Draws), "reconstructions": isinstance(method, Reconstructs)}
    has_both = all(kinds.values())
    if metrics is None or not has_both:
        return {name: metrics for name, has_it in kinds.items() if has_it}
    pairs = [name for name in metrics if name in RECONSTRUCTION_METRICS]
    others = [name for name in metrics if name not in pairs]
    return {name: names for name, names in (("samples", others), ("reconstructions", pairs)) if names}


def check_reads(method: Method, request: CheckpointRequest, asked: dict[str, list[str] | None]) -> None:
    """ValueError for a method that nothing is measured of, and for a setting that nothing measured of it reads."""
    tasks = " and ".join(method.test_tasks())
    if "samples" in asked:
        assert isinstance(method, Draws)
        unread = set() if method.num_classes else {"labels"}
        check_read(given(settings_in(request)), settings_of(CheckpointRequest) - unread, "a model without classes")
    elif "reconstructions" in asked:
        what = "reconstructions, which are measured of the test images of the method's own data"
        check_read(given(settings_in(request)), OF_RECONSTRUCTIONS, what)
    elif tasks:
        what = f"{tasks}, which is tested on its own data by its own measures"
        check_read(given(settings_in(request)), OF_TESTS, what)
    else:
        raise ValueError(f"{request.checkpoint} holds a {type(method).__name__}, which does not generate images")


def measure_samples(
    method: Draws, datamodule: ImageDataModule, request: CheckpointRequest, metrics: list[str] | None
) -> tuple[dict[str, Any], PictureMaker | None]:
    """Samples of the averaged generator against the method's own data, or against the reference."""
    if request.sampling is not None:
        method.use_sampling(request.sampling)
    labelled = datamodule if method.num_classes > 0 and datamodule.num_classes == method.num_classes else None
    if metrics is None:
        is_judged = request.judge != "pixels" or can_judge(math.prod(method.image_shape))
        metrics = [*DEFAULT_METRICS, *(CLASS_METRICS if labelled is not None and is_judged else ())]
    real: KeptImageSet | Summary
    if request.reference is None:
        real = random_part(real_images(datamodule, request.split), request.num_reference)
    else:
        real = open_reference(request.reference, request, side=method.image_shape[1])
    shape = measured_shape(method.image_shape, real)
    instruments, facts = prepare_instruments(request, metrics, image_shape=shape, labelled=labelled)
    if isinstance(real, Summary):
        check_statistics(real, instruments.extractor, method.image_shape)
    data_labels = labels_to_follow(method, datamodule, request.labels)
    picture = None
    if request.show_nearest is not None:
        samples = DrawnImages(method, request.show_nearest, seed=request.seed, data_labels=data_labels)
        picture = picture_of(samples, real_images(datamodule, "train"), instruments)
    drawing = Drawing(
        seed=request.seed,
        num_images=request.num_images,
        data_labels=data_labels,
        allow_trained_judge=request.allow_trained_judge,
    )
    return published_result(method, real, instruments, drawing, origin_of(request.checkpoint)) | facts, picture


def measure_reconstructions(
    method: Reconstructs, datamodule: ImageDataModule, request: CheckpointRequest, metrics: list[str] | None
) -> dict[str, Any]:
    """The images of the test split as the method makes them again, each against its original."""
    others = [name for name in metrics or () if name not in RECONSTRUCTION_METRICS]
    if others:
        raise ValueError(
            f"{', '.join(others)} measure samples, and a {type(method).__name__} draws none: choose from "
            f"{', '.join(RECONSTRUCTION_METRICS)}"
        )
    name = request.extractor or (None if metrics is None or "feature_distance" in metrics else "pixels")
    extractor, _ = extractor_of(name, image_shape=method.image_shape, weights=request.weights, device=request.device)
    is_met = isinstance(method, Draws) and was_met(extractor, method.trained_against)
    if metrics is None:
        metrics = default_of_pairs(method.image_shape, extractor, is_met=is_met)
    elif is_met and "feature_distance" in metrics:
        raise ValueError(
            f"this method was trained against {extractor.name}, which is therefore no judge of its reconstructions: choose "
            "another extractor, or leave feature_distance out of metrics=[...]"
        )
    instruments = Instruments(extractor=extractor, metrics=metrics, work=request.work())
    return reconstruction_result(method, datamodule, instruments, origin_of(request.checkpoint))


def default_of_pairs(image_shape: tuple[int, int, int], extractor: Extractor, *, is_met: bool) -> list[str]:
    """Every metric of pairs that images of this shape have; that of features where the extractor can be its judge."""
    left_out = set() if min(image_shape[1:]) >= SSIM_WINDOW else {"ssim"}
    if is_met or type(extractor).stages is Extractor.stages:  # which has none
        left_out.add("feature_distance")
    return [name for name in RECONSTRUCTION_METRICS if name not in left_out]


def check_alone(method: Method) -> None:
    """ValueError on several ranks for what one process tests."""
    if method.test_tasks() and rank_and_world_size()[1] > 1:
        tasks = " and ".join(method.test_tasks())
        raise ValueError(f"{tasks} is tested by one process: start evaluate.py without torchrun")


def own_tests(method: Method, datamodule: ImageDataModule, origin: Origin) -> list[dict[str, Any]]:
    """The test stage again: a record for each task whose measures the method takes of its own test images."""
    if not method.test_tasks():
        return []
    device = method.device
    bare_trainer(device).test(method, datamodule, verbose=False)
    method.to(device)  # a trainer leaves it on the CPU
    return [test_record(method, datamodule, task, values, origin) for task, values in method.test_results().items()]


def origin_of(checkpoint: str) -> Origin:
    return Origin(stage=EVALUATION, checkpoint=Path(checkpoint).name)
