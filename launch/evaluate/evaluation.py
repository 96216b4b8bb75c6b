"""What evaluate.py does: measure a checkpoint or a set of images, keep statistics, compare results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from PIL import Image

from datamodules.base import ImageDataModule
from generative.ranks import rank_and_world_size
from launch.build import bare_trainer
from launch.checkpoint import load_method
from launch.compose import CONFIGS
from launch.evaluate.corruptions import CHOICES, check_sets, check_suits, measured_errors, robustness
from launch.evaluate.inputs import (
    check_classes,
    check_statistics,
    datamodule_of,
    in_pairs,
    measured_shape,
    open_images,
    open_reference,
)
from launch.evaluate.judges import PREFIX, check_name, extractor_of, load_classifier
from launch.train.run_folder import read_lines
from lightning_modules.base import Draws, Method
from lightning_modules.labels import check_labels_setting, labels_to_follow
from metrics.evaluation import Work, judged_accuracy, nearest_originals, real_facts, real_summary
from metrics.features import EXTRACTORS, Extractor
from metrics.image_sets import ImageSet, KeptImageSet, random_part
from metrics.judge import Judge, can_judge
from metrics.protocols import check_comparable
from metrics.quality import CLASS_METRICS, COMPARISONS, Settings, check_metrics, needs
from metrics.samples import DrawnImages
from metrics.splits import pixel_judge, real_images
from metrics.statistics import Summary, save_summary
from records.results import EVALUATION, measured_result, published_result, test_record

DEFAULT_METRICS = ("fd", "precision", "recall")
JUDGES = ("pixels",)
COMMON = {
    "extractor",
    "weights",
    "metrics",
    "split",
    "device",
    "num_threads",
    "batch_size",
    "cache",
    "output",
    "protocol",
}
CONVENTIONS = {"num_neighbours", "num_subsets", "subset_size", "num_splits"}
MEASURED = COMMON | CONVENTIONS | {"reference", "num_reference", "num_images", "judge", "show_nearest"}
# The settings that each way of using evaluate.py reads; another one, if given, is refused rather than ignored.
READ = {
    "checkpoint": MEASURED | {"checkpoint", "seed", "labels", "allow_trained_judge"},
    "images": MEASURED | {"images"},
    "save_statistics": COMMON | {"images", "save_statistics", "num_images"},
    "compare": {"compare", "protocol"},
    "corruptions": {"checkpoint", "corruptions", "batch_size", "num_workers", "device", "output", "protocol"},
}
OF_SELF_TEST = {"checkpoint", "device", "num_threads", "output", "protocol"}
Draw = Callable[[], Image.Image]  # the picture that show_nearest= asks for


@dataclass(frozen=True)
class Judging:
    """The extractor, and who says which class an image shows on which test images."""

    extractor: Extractor
    judge: Judge | None
    test: KeptImageSet | None
    facts: dict[str, float]  # the accuracy of a classifier that serves as extractor


def check_used(settings: dict[str, Any], used: set[str], what: str) -> None:
    """ValueError for a setting that was given and would be ignored."""
    defaults = OmegaConf.to_container(OmegaConf.load(CONFIGS / "evaluate.yaml"), resolve=True)
    assert isinstance(defaults, dict)
    for key, value in settings.items():
        if value != defaults[key] and key not in used:
            raise ValueError(f"{key}= has no effect on {what}: leave it out")


def check_settings(settings: dict[str, Any]) -> None:
    """ValueError for a setting of evaluate.yaml of the wrong kind, before anything is read."""
    if settings["extractor"] is not None:
        check_name("extractor", settings["extractor"], EXTRACTORS)
    check_name("judge", settings["judge"], JUDGES)
    if isinstance(settings["metrics"], str):
        settings["metrics"] = [settings["metrics"]]
    if settings["metrics"] == []:
        raise ValueError("metrics=[] asks for nothing: leave it out for the default")
    check_metrics(settings["metrics"] or [])
    check_labels_setting(settings["labels"])
    least = {
        "seed": 0,
        "num_images": 2,
        "num_reference": 2,
        "batch_size": 1,
        "show_nearest": 1,
        "num_neighbours": 1,
        "num_workers": 0,
    }
    for key, value in ((key, settings[key]) for key in (*least, "num_subsets", "subset_size", "num_splits")):
        lowest = least.get(key, 2 if key == "subset_size" else 1)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < lowest):
            raise ValueError(f"{key} must be an integer of at least {lowest}, got {value!r}")
    if settings["corruptions"] not in (None, *CHOICES):
        raise ValueError(f"corruptions must be {' or '.join(CHOICES)}, got {settings['corruptions']!r}")
    kept = settings["save_statistics"]
    if kept is not None and (Path(kept).suffix != ".npz" or Path(kept).is_dir()):
        raise ValueError(f"save_statistics must be the name of an .npz file, got {kept}")


def conventions(settings: dict[str, Any]) -> Settings:
    return Settings(**{key: settings[key] for key in CONVENTIONS})


def prepare_work(settings: dict[str, Any]) -> Work:
    return Work(
        device=torch.device(settings["device"]),
        batch_size=settings["batch_size"],
        cache=None if settings["cache"] is None else Path(settings["cache"]).expanduser(),
        show_progress=True,
    )


def prepare_judging(
    settings: dict[str, Any],
    metrics: list[str],
    *,
    image_shape: tuple[int, int, int],
    labelled: ImageDataModule | None,
    work: Work,
) -> Judging:
    """``labelled``: the data module that the judge of raw pixels learns from, if there is one."""
    device = settings["device"]
    looks_at_features = set(metrics) & {*COMPARISONS, "feature_distance"} or settings["show_nearest"] is not None
    extractor, own, own_data = extractor_of(
        settings["extractor"] or (None if looks_at_features else "pixels"),
        image_shape=image_shape,
        weights=settings["weights"],
        device=device,
    )
    facts = {}
    if own is not None and own_data is not None:
        test = real_images(own_data, "test")
        facts["extractor_accuracy"] = judged_accuracy(own, test, work=work, what="classifier")
    if not set(metrics) & set(CLASS_METRICS):
        if settings["judge"] != "pixels":
            raise ValueError(f"judge= has no effect on metrics={metrics}: add accuracy, or leave it out")
        return Judging(extractor, None, None, facts)
    if settings["judge"].startswith(PREFIX):
        if "tstr_accuracy" in metrics and rank_and_world_size()[1] > 1:
            raise ValueError("tstr_accuracy trains a network, which several ranks cannot do here: measure it with one")
        if settings["judge"] == settings["extractor"] and own is not None and own_data is not None:
            judge, data = own, own_data
        else:
            judge, data = load_classifier(Path(settings["judge"].removeprefix(PREFIX)), device=device)
        return Judging(extractor, judge, real_images(data, "test"), facts)
    if labelled is None:
        asked = " and ".join(name for name in metrics if name in CLASS_METRICS)
        raise ValueError(f"{asked} need a judge: give a data module as reference, or judge=classifier:<checkpoint>")
    return Judging(extractor, pixel_judge(labelled, metrics), real_images(labelled, "test"), facts)


def evaluate_checkpoint(settings: dict[str, Any]) -> tuple[dict[str, Any], Draw | None]:
    """Samples of a checkpoint's averaged generator against its own data module, or against ``reference``."""
    if settings["corruptions"] is not None:
        return evaluate_corruptions(settings), None
    check_used(settings, READ["checkpoint"], "a checkpoint")
    check_settings(settings)
    method, datamodule = load_method(Path(settings["checkpoint"]), device=settings["device"])
    if method.test_task:
        check_used(settings, OF_SELF_TEST, f"{method.test_task}, which is tested on its own data by its own measures")
        return run_own_test(method, datamodule, settings), None
    if not isinstance(method, Draws):
        raise ValueError(f"{settings['checkpoint']} holds a {type(method).__name__}, which does not generate images")
    if method.num_classes == 0:
        check_used(settings, READ["checkpoint"] - {"labels"}, "a model without classes")
    is_labelled = method.num_classes > 0 and datamodule.num_classes == method.num_classes
    can_be_judged = is_labelled and (settings["judge"] != "pixels" or can_judge(math.prod(method.image_shape)))
    metrics = settings["metrics"] or [*DEFAULT_METRICS, *(CLASS_METRICS if can_be_judged else ())]
    real: KeptImageSet | Summary
    if settings["reference"] is None:
        real = random_part(real_images(datamodule, settings["split"]), settings["num_reference"])
    else:
        real = open_reference(
            settings["reference"],
            split=settings["split"],
            num_reference=settings["num_reference"],
            side=method.image_shape[1],
        )
    work = prepare_work(settings)
    judging = prepare_judging(
        settings,
        metrics,
        image_shape=measured_shape(method.image_shape, real),
        labelled=datamodule if is_labelled else None,
        work=work,
    )
    if isinstance(real, Summary):
        check_statistics(real, judging.extractor, method.image_shape)
    draw = None
    data_labels = labels_to_follow(method, datamodule, settings["labels"])
    if settings["show_nearest"] is not None:
        samples = DrawnImages(method, settings["show_nearest"], seed=settings["seed"], data_labels=data_labels)
        draw = prepare_picture(samples, real_images(datamodule, "train"), judging.extractor, work)
    record = published_result(
        method,
        real,
        extractor=judging.extractor,
        metrics=metrics,
        settings=conventions(settings),
        num_images=settings["num_images"],
        seed=settings["seed"],
        data_labels=data_labels,
        judge=judging.judge,
        test=judging.test,
        allow_trained_judge=settings["allow_trained_judge"],
        work=work,
        stage=EVALUATION,
        checkpoint=Path(settings["checkpoint"]).name,
    )
    return record | judging.facts, draw


def run_own_test(method: Method, datamodule: ImageDataModule, settings: dict[str, Any]) -> dict[str, Any]:
    """The test stage again: the method's own measures on the test images of its data module."""
    if rank_and_world_size()[1] > 1:
        raise ValueError(f"{method.test_task} is tested by one process: start evaluate.py without torchrun")
    trainer = bare_trainer(method.device)
    trainer.test(method, datamodule, verbose=False)
    checkpoint = Path(settings["checkpoint"]).name
    ((task, values),) = method.test_results().items()
    return test_record(method, datamodule, task, values, stage=EVALUATION, checkpoint=checkpoint)


def evaluate_corruptions(settings: dict[str, Any]) -> dict[str, Any]:
    """A classifier of ImageNet on its own test images, and on their corruptions in units of AlexNet's errors."""
    check_used(settings, READ["corruptions"], "the corruptions of ImageNet-C")
    check_settings(settings)
    regenerate = settings["corruptions"] == "regenerated"
    method, datamodule = load_method(Path(settings["checkpoint"]), device=settings["device"])
    classifier = check_suits(method, settings["checkpoint"])
    check_sets(regenerate=regenerate)
    record = run_own_test(classifier, datamodule, settings)
    clean_error = 1.0 - record["metrics"]["accuracy"]
    errors, num_images = measured_errors(
        classifier, regenerate=regenerate, batch_size=settings["batch_size"], num_workers=settings["num_workers"]
    )
    own = record["protocol"]
    protocol = {
        "task": "corruptions",
        "data": f"imagenet_c{'_regenerated' if regenerate else ''}:test",
        "clean_data": own["data"],
        "clean_data_hash": own["data_hash"],
        "reference": "AlexNet",
        "image_shape": own["image_shape"],
        "weights": own["weights"],
    }
    metrics = {"clean_error": clean_error} | robustness(errors, clean_error, regenerated=regenerate)
    return record | {"protocol": protocol, "num_images": num_images, "metrics": metrics, "errors": errors}


def evaluate_images(settings: dict[str, Any]) -> tuple[dict[str, Any], Draw | None]:
    """The images of a folder, zip, array file or data module against those of another or against saved statistics."""
    if settings["save_statistics"] is not None:
        check_used(settings, READ["save_statistics"], "saving statistics")
    check_used(settings, READ["images"] | {"save_statistics"}, "a set of images")
    check_settings(settings)
    whole = open_images(settings["images"], split=settings["split"])
    images = random_part(whole, settings["num_images"])
    work = prepare_work(settings)
    if settings["save_statistics"] is not None:
        return save_statistics(images, settings, work=work), None
    metrics = settings["metrics"] or list(DEFAULT_METRICS)
    real: KeptImageSet | Summary | None = None
    labelled = None
    if settings["reference"] is not None:
        real = open_reference(
            settings["reference"],
            split=settings["split"],
            num_reference=settings["num_reference"],
            side=images.shape[1],
        )
        if not isinstance(real, Summary):
            labelled, _ = datamodule_of(settings["reference"], side=images.shape[1])
            labelled = labelled if labelled is not None and labelled.num_classes else None
    elif any(needs(metrics, generated=False).values()) or not set(metrics) & {*COMPARISONS, *CLASS_METRICS}:
        raise ValueError(
            "say what to compare with: reference=<folder, prepared set, zip, array file, data module or saved statistics>"
        )
    images, real = in_pairs(images, real, settings, metrics)
    judging = prepare_judging(
        settings, metrics, image_shape=measured_shape(images.shape, real), labelled=labelled, work=work
    )
    if judging.judge is not None:
        check_classes(settings["images"], whole, judging.judge)
    if isinstance(real, Summary):
        check_statistics(real, judging.extractor, images.shape)
    draw = None
    if settings["show_nearest"] is not None:
        if real is None or isinstance(real, Summary):
            raise ValueError("show_nearest= looks for the nearest images: give images as reference")
        some = random_part(images, min(settings["show_nearest"], len(images)))
        draw = prepare_picture(some, real, judging.extractor, work)
    record, _ = measured_result(
        images,
        real,
        extractor=judging.extractor,
        metrics=metrics,
        settings=conventions(settings),
        judge=judging.judge,
        test=judging.test,
        work=work,
        samples="images as given",
        images=settings["images"],
        stage=EVALUATION,
    )
    return record | judging.facts, draw


def save_statistics(images: KeptImageSet, settings: dict[str, Any], *, work: Work) -> dict[str, Any]:
    """Write what the metrics need of a set of images to a file that serves as reference later."""
    extractor, _, _ = extractor_of(
        settings["extractor"], image_shape=images.shape, weights=settings["weights"], device=settings["device"]
    )
    metrics = [name for name in settings["metrics"] or DEFAULT_METRICS if any(needs([name], generated=False).values())]
    if not metrics:
        raise ValueError(f"none of metrics={settings['metrics']} looks at real images: there is nothing to save")
    summary = real_summary(images, extractor, metrics=metrics, work=work)
    path = Path(settings["save_statistics"]).expanduser()
    facts = real_facts(images, extractor) | {"name": images.name}
    if rank_and_world_size()[0] == 0:
        save_summary(Summary(summary.num_images, summary.gaussians, summary.rows, facts), path)
    return {"statistics": str(path), "num_images": summary.num_images, "metrics": {}, "protocol": facts}


def prepare_picture(samples: ImageSet, real: KeptImageSet, extractor: Extractor, work: Work) -> Draw:
    """A picture of samples, each above the real images that come nearest to it: drawn after the numbers are safe."""
    return lambda: nearest_originals(samples, real, extractor=extractor, work=work)


def compare_results(paths: list[str]) -> list[dict[str, Any]]:
    """The last result of each file; ValueError that names the difference where their protocols do not agree."""
    if not isinstance(paths, list) or len(paths) < 2:
        raise ValueError("compare=[a,b] takes at least two files of results")
    records = []
    for path in paths:
        if not Path(path).is_file():
            raise ValueError(f"there is no file of results {path}")
        try:
            lines = [line for line in read_lines(Path(path)) if "protocol" in line and line.get("metrics")]
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no file of results: {error}") from error
        if not lines:
            raise ValueError(f"{path} holds no result")
        records.append(lines[-1])
    check_comparable(records, paths)
    return records
