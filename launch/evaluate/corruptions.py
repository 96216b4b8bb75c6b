"""A classifier of ImageNet on the fifteen corruptions at five severities of ImageNet-C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from datamodules.corruptions import KINDS, SEVERITIES
from datamodules.imagenet_c import ImageNetC, check_all_there
from launch.build import bare_trainer
from launch.checkpoint import load_method
from launch.data_sets import make_datamodule
from launch.evaluate.capabilities import check_alone, origin_of, own_tests
from launch.evaluate.requests import CorruptionsRequest
from lightning_modules.base import Classifies, Method
from metrics.robustness import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    corruption_error,
    mean_corruption_error,
    relative_mce,
)


def measure_corruptions(request: CorruptionsRequest) -> dict[str, Any]:
    """A classifier of ImageNet on its own test images, and on their corruptions in units of AlexNet's errors."""
    regenerate = request.corruptions == "regenerated"
    method, datamodule = load_method(Path(request.checkpoint), device=request.device)
    classifier = check_suits(method, request.checkpoint)
    check_sets(regenerate=regenerate)
    check_alone(classifier)
    record = next(
        record
        for record in own_tests(classifier, datamodule, origin_of(request.checkpoint))
        if record["protocol"]["task"] == Classifies.test_task
    )
    clean_error = 1.0 - record["metrics"]["accuracy"]
    errors, num_images = measured_errors(
        classifier, regenerate=regenerate, batch_size=request.batch_size, num_workers=request.num_workers
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


def check_suits(method: Method, path: str) -> Classifies:
    """``method`` as what can be tested on ImageNet-C; ValueError where it cannot."""
    if not isinstance(method, Classifies):
        raise ValueError(f"corruptions= tests a classifier, and {path} holds a {type(method).__name__}: leave it out")
    if (method.num_classes, method.image_shape[0]) != (ImageNetC.num_classes, ImageNetC.channels):
        raise ValueError(
            f"ImageNet-C has {ImageNetC.num_classes} classes of colour photos, and {path} tells {method.num_classes} classes "
            f"of images of {method.image_shape[0]} channels apart: give a classifier of ImageNet"
        )
    return method


def corrupted_set(corruption: str, severity: int, *, resolution: int, regenerate: bool, **loading: Any) -> ImageNetC:
    chosen = {"corruption": corruption, "severity": severity, "resolution": resolution, "regenerate": regenerate}
    made = make_datamodule("imagenet_c", chosen | loading)
    assert isinstance(made, ImageNetC)
    return made


def check_sets(*, regenerate: bool) -> None:
    """ValueError that names every set that is not there, before the first is tested on."""
    if not regenerate:
        any_set = corrupted_set("fog", 1, resolution=224, regenerate=False)
        check_all_there(any_set.data_dir)


def measured_errors(
    method: Classifies, *, regenerate: bool, batch_size: int | None, num_workers: int
) -> tuple[dict[str, list[float]], int]:
    """Corruption -> the share of wrong images at severities 1 to 5, and the number of images of all sets together."""
    loading = {"num_workers": num_workers} | ({} if batch_size is None else {"batch_size": batch_size})
    errors: dict[str, list[float]] = {}
    num_images, trainer = 0, bare_trainer(method.device)
    names = [(name, severity) for names in KINDS.values() for name in names for severity in SEVERITIES]
    for corruption, severity in tqdm(names, desc="ImageNet-C", unit="set", disable=None):
        data = corrupted_set(corruption, severity, resolution=method.image_shape[1], regenerate=regenerate, **loading)
        trainer.test(method, data, verbose=False)
        errors.setdefault(corruption, []).append(1.0 - method.test_results()[Classifies.test_task]["accuracy"])
        num_images += len(data.split("test")[1])
    return errors, num_images


def robustness(errors: dict[str, list[float]], clean_error: float, *, regenerated: bool) -> dict[str, float]:
    """The measures by name, as shares; of images that were computed here the names say so."""
    values = {
        "mce": mean_corruption_error(errors, ALEXNET_ERRORS),
        "relative_mce": relative_mce(errors, clean_error, ALEXNET_ERRORS, ALEXNET_CLEAN_ERROR),
    }
    values |= {f"ce_{name}": corruption_error(each, ALEXNET_ERRORS[name]) for name, each in errors.items()}
    return {f"{name}_regenerated" if regenerated else name: value for name, value in values.items()}
