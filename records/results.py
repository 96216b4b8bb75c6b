"""results.jsonl: one line a published measurement, with everything it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from datamodules.base import ImageDataModule
from lightning_modules.base import Draws, Method
from metrics.evaluation import Work, evaluate, negative_distance_note, small_sample_note
from metrics.features import Extractor
from metrics.image_sets import ImageSet
from metrics.judge import Judge
from metrics.protocols import check_judge, make_protocol, name_all
from metrics.quality import Settings
from metrics.samples import DrawnImages, check_generated
from metrics.splits import real_images
from metrics.statistics import Summary
from records.environment import environment
from records.settings_hash import settings_hash

TEST_STAGE = "test stage of train.py"
EVALUATION = "evaluate.py"


def measured_result(
    fake: ImageSet,
    real: ImageSet | Summary | None,
    *,
    extractor: Extractor,
    metrics: Sequence[str],
    settings: Settings,
    judge: Judge | None,
    test: ImageSet | None,
    work: Work,
    samples: str,
    labels: str = "none",
    trained_against_judge: bool = False,
    **facts: Any,
) -> tuple[dict[str, Any], dict[str, float]]:
    """Evaluate, and make the record of it: protocol, counts, values, ``facts``, environment. Also the values by whole name.

    ``samples`` says how the generated images were drawn, ``labels`` how the classes asked for were shared out; ``facts``
    what was measured: experiment, checkpoint or folder, images seen, seeds, stage.
    """
    values = evaluate(
        fake, real, extractor=extractor, metrics=metrics, settings=settings, judge=judge, test=test, work=work
    )
    names = name_all(
        values,
        extractor=extractor,
        judge=judge,
        image_size=fake.shape[1],
        num_images=len(fake),
        trained_against_judge=trained_against_judge,
    )
    name, mark, count, reference_shape = "none", "", 0, fake.shape
    if isinstance(real, Summary):
        name, mark, count = real.facts.get("name", "statistics"), real.facts.get("images", ""), real.num_images
        reference_shape = real.facts.get("image_shape", fake.shape)
    elif real is not None:
        name, mark, count, reference_shape = real.name, real.fingerprint(), len(real), real.shape
    foreign = real.facts.get("note") if isinstance(real, Summary) else None
    notes = [
        foreign,
        small_sample_note(min(len(fake), count or len(fake)), extractor, metrics),
        negative_distance_note(values),
    ]
    protocol = make_protocol(
        extractor,
        image_shape=fake.shape,
        reference=name,
        reference_hash=mark,
        samples=samples,
        labels=labels,
        judge="none" if judge is None or test is None else f"{judge.name}, tested on {test.name}",
        settings=settings,
        trained_against_judge=trained_against_judge,
        several_sizes=0 in (*fake.shape, *reference_shape),
    )
    record = {
        "protocol": protocol.as_dict(),
        "num_images": len(fake),
        "num_reference": count,
        "metrics": values,
        "names": sorted(names),
        "note": "; ".join(note for note in notes if note) or None,
        **facts,
        "environment": environment(work.device.type),
    }
    return record, names


def published_result(
    method: Draws,
    real: ImageSet | Summary,
    *,
    extractor: Extractor,
    metrics: Sequence[str],
    settings: Settings,
    num_images: int | None = None,
    seed: int,
    data_labels: Tensor | None,
    judge: Judge | None,
    test: ImageSet | None,
    allow_trained_judge: bool = False,
    work: Work,
    stage: str,
    checkpoint: str,
) -> dict[str, Any]:
    """The result record of a generator against real images: what evaluate.py prints and train.py ends with.

    ``num_images`` None: as many samples as there are real images. ``data_labels``: the training labels whose
    shares the classes of the samples have; None: balanced. ``test``: labelled images that ``judge`` is tested on.
    """
    check_generated(metrics)
    trained = check_judge(extractor.name, method.trained_against, allowed=allow_trained_judge)
    if judge is not None:
        trained |= check_judge(judge.label, method.trained_against, allowed=allow_trained_judge)
    count = num_images or (real.num_images if isinstance(real, Summary) else len(real))
    if count == 0:
        raise ValueError("the reference does not say of how many images it was made: give num_images=<number>")
    if method.num_classes == 0:
        labels, classes = "none", ""
    elif data_labels is None:
        labels, classes = "balanced", f", class k mod {method.num_classes} for image k"
    else:
        labels, classes = "data", ", class of training image p(k mod N) for image k, p a permutation by the seed"
    record, _ = measured_result(
        DrawnImages(method, count, seed=seed, data_labels=data_labels),
        real,
        extractor=extractor,
        metrics=metrics,
        settings=settings,
        judge=judge,
        test=test,
        work=work,
        samples=f"averaged weights{classes}",
        labels=labels,
        trained_against_judge=trained,
        experiment=method.run_config["experiment_name"],
        kimg=method.images_seen / 1000,
        budget_kimg=method.run_config["max_kimg"],
        train_seed=method.seed,
        sample_seed=seed,
        settings_hash=settings_hash(method.run_config),
        stage=stage,
        checkpoint=checkpoint,
    )
    return record


def test_record(
    method: Method, datamodule: ImageDataModule, task: str, values: dict[str, float], *, stage: str, checkpoint: str
) -> dict[str, Any]:
    """The result record of what a method measured of itself on the test split of its data module."""
    return {
        "protocol": {
            "task": task,
            "data": f"{datamodule.name}:test",
            "data_hash": real_images(datamodule, "test").fingerprint(),
            "image_shape": list(method.image_shape),
            "weights": "averaged",
        },
        "num_images": len(datamodule.split("test")[1]),
        "metrics": values,
        "experiment": method.run_config["experiment_name"],
        "kimg": method.images_seen / 1000,
        "budget_kimg": method.run_config["max_kimg"],
        "train_seed": method.seed,
        "settings_hash": settings_hash(method.run_config),
        "stage": stage,
        "checkpoint": checkpoint,
        "environment": environment(method.device.type),
    }


def markdown_table(rows: list[tuple[str, str]]) -> str:
    """Two columns, aligned for the screen as well."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"| {name:<{width}} | {value} |" for name, value in rows)
