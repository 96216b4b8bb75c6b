"""What evaluate.py measures: a checkpoint, or a set of images against another; and what it saves and compares."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import hydra
import torch
from lightning.pytorch import Trainer
from omegaconf import OmegaConf
from PIL import Image

from callbacks.generation_metrics import DrawnImages, pixel_judge, published_result, real_images
from callbacks.results import EVALUATION, result_record
from callbacks.test_results import classification_record
from datamodules.base import ImageDataModule
from generative.metrics.evaluation import (
    ImageSet,
    ImagesInMemory,
    RandomPart,
    Work,
    evaluate,
    judged_accuracy,
    nearest_originals,
    real_facts,
    real_summary,
    small_sample_note,
)
from generative.metrics.features import EXTRACTORS, Extractor
from generative.metrics.metrics import CLASS_METRICS, COMPARISONS, DISTANCES, ROW_METRICS, check_metrics, needs
from generative.metrics.protocols import check_comparable, make_protocol, name_all
from generative.metrics.statistics import Summary, load_summary, save_summary
from generative.ranks import rank_and_world_size
from generative.rendering.files import ARRAYS, ImageFiles, read_array
from launch.checkpoint import check_device, load_method
from launch.compose import CONFIGS, group_options
from launch.errors import did_you_mean
from launch.judges import PREFIX, ClassifierJudge, check_name, extractor_of, load_classifier
from launch.quiet import quiet
from launch.run_folder import read_lines
from lightning_modules.base import ClassifierModule, GenerativeModule

DEFAULT_METRICS = ("fd", "precision", "recall")
JUDGES = ("pixels",)


def check_settings(settings: dict[str, Any]) -> None:
    """ValueError for a setting of evaluate.yaml of the wrong kind, before anything is read."""
    check_name("extractor", settings["extractor"], EXTRACTORS)
    check_name("judge", settings["judge"], JUDGES)
    if isinstance(settings["metrics"], str):
        settings["metrics"] = [settings["metrics"]]
    check_metrics(settings["metrics"] or [])
    for key, least in (("seed", 0), ("num_images", 2), ("num_reference", 2), ("batch_size", 1), ("neighbours", 1)):
        value = settings[key]
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise ValueError(f"{key} must be an integer of at least {least}, got {value!r}")
    check_device(settings["device"])


def make_datamodule(name: str) -> ImageDataModule:
    """The data module of ``configs/datamodule/<name>.yaml``, nothing loaded."""
    options = group_options("datamodule")
    if name not in options:
        raise ValueError(f"{name!r} is neither a file, a folder nor a data module{did_you_mean(name, options)}")
    settings = OmegaConf.load(CONFIGS / "datamodule" / f"{name}.yaml")
    made: ImageDataModule = hydra.utils.instantiate(settings, _partial_=True, _convert_="all")(seed=0)
    return made


def open_images(name: str, *, split: str) -> ImageSet:
    """A folder, a zip, an array file, or a data module (``<name>`` or ``<name>:<split>``)."""
    path = Path(name).expanduser()
    if path.exists():
        if path.suffix.lower() in ARRAYS:
            return ImagesInMemory(name, *read_array(path))
        return ImageFiles(path)
    datamodule, _, own_split = name.partition(":")
    return real_images(make_datamodule(datamodule), own_split or split)


def open_reference(name: str, *, split: str, num_reference: int | None) -> ImageSet | Summary:
    """What to compare with: images, as above, or a file of statistics."""
    path = Path(name).expanduser()
    if path.suffix == ".npz" and path.exists() and not is_array_of_images(path):
        if num_reference is not None:
            raise ValueError("num_reference chooses among images, and the reference is a file of statistics")
        return load_summary(path)[0]
    images = open_images(name, split=split)
    return images if num_reference is None else RandomPart(images, num_reference)


def is_array_of_images(path: Path) -> bool:
    """Whether an ``.npz`` holds images; one that cannot be read is left to whoever reads it next."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return bool({"arr_0.npy", "images.npy"} & set(archive.namelist()))


def check_statistics(path: Path, extractor: Extractor, image_shape: tuple[int, int, int]) -> None:
    """ValueError where a file of statistics was made by another extractor than that of the images."""
    _, facts = load_summary(path)
    ours = {"extractor": extractor.name, "weights": extractor.weights, "image_shape": list(image_shape)}
    for key, value in ours.items():
        if key in facts and facts[key] != value:
            raise ValueError(f"{path} was made with {key} {facts[key]!r}, and the images are measured with {value!r}")


def prepare_work(settings: dict[str, Any]) -> Work:
    return Work(
        device=torch.device(settings["device"]),
        batch_size=settings["batch_size"],
        cache=None if settings["cache"] is None else Path(settings["cache"]).expanduser(),
        show_progress=True,
    )


def choose_judge(
    settings: dict[str, Any], metrics: list[str], own: ClassifierJudge | None, own_data: ImageDataModule | None
) -> tuple[ClassifierJudge | None, ImageSet | None]:
    """The classifier that says which class an image shows, and test images of it; (None, None) for the pixel judge."""
    if not set(metrics) & set(CLASS_METRICS) or not settings["judge"].startswith(PREFIX):
        return None, None
    if settings["judge"] == settings["extractor"]:
        assert own_data is not None
        return own, real_images(own_data, "test")
    judge, datamodule = load_classifier(Path(settings["judge"].removeprefix(PREFIX)), device=settings["device"])
    return judge, real_images(datamodule, "test")


def stated_accuracy(judge: ClassifierJudge | None, datamodule: ImageDataModule | None, work: Work) -> dict[str, float]:
    """The accuracy of a classifier whose features compare, on its own test images."""
    if judge is None or datamodule is None:
        return {}
    return {"extractor_accuracy": judged_accuracy(judge, real_images(datamodule, "test"), work=work, what="classifier")}


def evaluate_checkpoint(settings: dict[str, Any]) -> dict[str, Any]:
    """Samples of a checkpoint's averaged generator against its own data module, or the one named ``reference``."""
    check_settings(settings)
    method, datamodule = load_method(Path(settings["checkpoint"]), device=settings["device"])
    if isinstance(method, ClassifierModule):
        return evaluate_classifier(method, datamodule, settings)
    if not isinstance(method, GenerativeModule):
        raise ValueError(f"{settings['checkpoint']} holds a {type(method).__name__}, which does not generate images")
    reference = None
    if settings["reference"] is not None:
        if Path(settings["reference"]).exists():
            raise ValueError(
                "a checkpoint is compared with a data module; for a folder, generate images and give images=<folder>"
            )
        datamodule = make_datamodule(settings["reference"])
    if settings["num_reference"] is not None:
        reference = RandomPart(real_images(datamodule, settings["split"]), settings["num_reference"])
    labelled = CLASS_METRICS if method.num_classes > 0 and datamodule.num_classes == method.num_classes else ()
    metrics = settings["metrics"] or [*DEFAULT_METRICS, *labelled]
    extractor, own, own_data = extractor_of(
        settings["extractor"], image_shape=method.image_shape, weights=settings["weights"], device=settings["device"]
    )
    work = prepare_work(settings)
    judge, _ = choose_judge(settings, metrics, own, own_data)
    record = published_result(
        method,
        datamodule,
        extractor=extractor,
        metrics=metrics,
        reference=reference,
        split=settings["split"],
        num_images=settings["num_images"],
        seed=settings["seed"],
        judge=judge,
        allow_trained_judge=settings["allow_trained_judge"],
        work=work,
        stage=EVALUATION,
        checkpoint=Path(settings["checkpoint"]).name,
    )
    record |= stated_accuracy(own, own_data, work)
    if settings["neighbours"] is not None:
        samples = DrawnImages(method, settings["neighbours"], seed=settings["seed"])
        picture = Path(settings["checkpoint"]).absolute().parent.parent / "neighbours.png"
        save_neighbours(samples, real_images(datamodule, "train"), extractor, work, picture)
    return record


def evaluate_classifier(
    method: ClassifierModule, datamodule: ImageDataModule, settings: dict[str, Any]
) -> dict[str, Any]:
    """The test stage of a classifier again: its own measures on the test images of its data module."""
    if settings["reference"] is not None or settings["metrics"] is not None:
        raise ValueError(
            "a classifier is tested on its own data by its own measures: leave out reference= and metrics="
        )
    if rank_and_world_size()[1] > 1:
        raise ValueError("a classifier is tested by one process: start evaluate.py without torchrun")
    quiet()
    trainer = Trainer(
        accelerator="gpu" if method.device.type == "cuda" else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.test(method, datamodule, verbose=False)
    checkpoint = Path(settings["checkpoint"]).name
    return classification_record(method, datamodule, method.test_results(), stage=EVALUATION, checkpoint=checkpoint)


def evaluate_images(settings: dict[str, Any]) -> dict[str, Any]:
    """The images of a folder, zip, array file or data module against those of another or against saved statistics."""
    check_settings(settings)
    images = open_images(settings["images"], split=settings["split"])
    if settings["num_images"] is not None:
        images = RandomPart(images, settings["num_images"])
    extractor, own, own_data = extractor_of(
        settings["extractor"], image_shape=images.shape, weights=settings["weights"], device=settings["device"]
    )
    work = prepare_work(settings)
    if settings["save_statistics"] is not None:
        return save_statistics(images, extractor, settings=settings, work=work)
    metrics = settings["metrics"] or list(DEFAULT_METRICS)
    real, name, mark, count = None, "none", "", 0
    if settings["reference"] is not None:
        path = Path(settings["reference"]).expanduser()
        real = open_reference(settings["reference"], split=settings["split"], num_reference=settings["num_reference"])
        if isinstance(real, Summary):
            check_statistics(path, extractor, images.shape)
            name, mark = str(path), hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            count = real.num_images
        else:
            name, mark, count = real.name, real.fingerprint() or "", len(real)
    elif set(metrics) & {*DISTANCES, *ROW_METRICS} or not set(metrics) & set(COMPARISONS):
        raise ValueError(
            "say what to compare with: reference=<folder, zip, array file, data module or saved statistics>"
        )
    judge, test = choose_judge(settings, metrics, own, own_data)
    if set(metrics) & set(CLASS_METRICS) and judge is None:
        judge, test = judge_of_reference(settings, metrics)
    values = evaluate(images, real, extractor=extractor, metrics=metrics, judge=judge, test=test, work=work)
    if settings["neighbours"] is not None:
        if real is None or isinstance(real, Summary):
            raise ValueError("neighbours=<number> looks for the nearest images: give images as reference")
        part = RandomPart(images, min(max(settings["neighbours"], 2), len(images)))
        save_neighbours(part, real, extractor, work, Path("neighbours.png"))
    return result_record(
        make_protocol(
            extractor,
            image_shape=images.shape,
            reference=name,
            reference_hash=mark,
            samples="images as given",
            judge="none" if judge is None else judge.name,
        ),
        values,
        num_images=len(images),
        num_reference=count,
        names=sorted(
            name_all(values, extractor=extractor, judge=judge, image_size=images.shape[1], num_images=len(images))
        ),
        note=small_sample_note(len(images), extractor, metrics),
        images=settings["images"],
        stage=EVALUATION,
        device=work.device,
        **stated_accuracy(own, own_data, work),
    )


def judge_of_reference(settings: dict[str, Any], metrics: list[str]) -> tuple[Any, ImageSet]:
    """The judge of raw pixels of a reference that is a data module."""
    name = str(settings["reference"]).partition(":")[0]
    if name not in group_options("datamodule"):
        raise ValueError(
            f"{', '.join(set(metrics) & set(CLASS_METRICS))} need a judge: give a data module as reference, or "
            "judge=classifier:<checkpoint>"
        )
    datamodule = make_datamodule(name)
    return pixel_judge(datamodule, metrics), real_images(datamodule, "test")


def save_statistics(images: ImageSet, extractor: Extractor, *, settings: dict[str, Any], work: Work) -> dict[str, Any]:
    """Write what the metrics need of a set of images to a file that serves as reference later."""
    metrics = [name for name in settings["metrics"] or DEFAULT_METRICS if any(needs([name], generated=False).values())]
    if not metrics:
        raise ValueError(f"none of metrics={settings['metrics']} looks at real images: there is nothing to save")
    summary = real_summary(images, extractor, metrics=metrics, work=work)
    path = Path(settings["save_statistics"]).expanduser()
    facts = real_facts(images, extractor)
    if rank_and_world_size()[0] == 0:
        save_summary(summary, path, facts=facts | {"name": images.name, "metrics": metrics})
    return {"statistics": str(path), "num_images": summary.num_images, "metrics": {}, "protocol": facts}


def save_neighbours(samples: ImageSet, real: ImageSet, extractor: Extractor, work: Work, path: Path) -> None:
    """A picture of samples, each above the real images that come nearest to it."""
    sheet: Image.Image = nearest_originals(samples, real, extractor=extractor, work=work)
    if rank_and_world_size()[0] == 0:
        sheet.save(path)
        print(f"samples and their nearest real images: {path}", file=sys.stderr)


def compare_results(paths: list[str]) -> list[dict[str, Any]]:
    """The last result of each file; ValueError that names the difference where their protocols do not agree."""
    if len(paths) < 2:
        raise ValueError("compare=[a,b] takes at least two files of results")
    records = []
    for path in paths:
        if not Path(path).is_file():
            raise ValueError(f"there is no file of results {path}")
        try:
            lines = [line for line in read_lines(Path(path)) if "protocol" in line and line.get("metrics")]
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is no file of results: {error}") from error
        if not lines:
            raise ValueError(f"{path} holds no result")
        records.append(lines[-1])
    check_comparable(records, paths)
    return records
