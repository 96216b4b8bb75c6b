"""results.jsonl: one line a published measurement, with everything it depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from datamodules.base import ImageDataModule
from lightning_modules.base import Draws, Method, Reconstructs
from metrics.evaluation import Instruments, evaluate, negative_distance_note, small_sample_note
from metrics.image_sets import ImageSet
from metrics.protocols import QUANTIZATION, check_judge, make_protocol, name_all
from metrics.samples import DrawnImages, Reconstructions, check_generated
from metrics.splits import real_images
from metrics.statistics import Summary
from records.environment import environment
from records.settings_hash import settings_hash

TEST_STAGE = "test stage of train.py"
EVALUATION = "evaluate.py"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which program measured, and the name of the file whose weights it measured."""

    stage: str  # TEST_STAGE or EVALUATION
    checkpoint: str

    def facts(self, method: Method, **of_samples: int) -> dict[str, Any]:
        """Of which run and when the weights are, ``of_samples`` among them."""
        return {
            "experiment": method.run_config["experiment_name"],
            "kimg": method.images_seen / 1000,
            "budget_kimg": method.run_config["max_kimg"],
            "train_seed": method.seed,
            **of_samples,
            "settings_hash": settings_hash(method.run_config),
            "stage": self.stage,
            "checkpoint": self.checkpoint,
        }


@dataclass(frozen=True, kw_only=True)
class Making:
    """How the images came about that are measured; part of a result's protocol."""

    samples: str
    labels: str = "none"  # how the classes asked for were shared out
    trained_against_judge: bool = False
    sampling: str | None = None  # in which of its ways a generator drew, if it has several


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """Which samples of a generator are measured.

    ``num_images`` None: as many as there are real images. ``data_labels`` [N]: the training labels whose shares the
    classes of the samples have; None: balanced.
    """

    seed: int
    num_images: int | None = None
    data_labels: Tensor | None = None
    allow_trained_judge: bool = False

    def of(self, method: Draws, real: ImageSet | Summary) -> DrawnImages:
        """The samples; ValueError where the reference does not say how many."""
        count = self.num_images or (real.num_images if isinstance(real, Summary) else len(real))
        if count == 0:
            raise ValueError("the reference does not say of how many images it was made: give num_images=<number>")
        return DrawnImages(method, count, seed=self.seed, data_labels=self.data_labels)

    def making(self, method: Draws, instruments: Instruments) -> Making:
        """What a protocol says of them; ValueError for a judge that the generator was trained against."""
        labels, classes = "data", ", class of training image p(k mod N) for image k, p a permutation by the seed"
        if method.num_classes == 0:
            labels, classes = "none", ""
        elif self.data_labels is None:
            labels, classes = "balanced", f", class k mod {method.num_classes} for image k"
        judge = instruments.judge
        judges = [instruments.extractor, *([] if judge is None else [judge.extractor or judge.label])]
        met = [check_judge(one, method.trained_against, allowed=self.allow_trained_judge) for one in judges]
        way = "" if method.sampling is None else f", {method.sampling.replace('_', ' ')}"
        return Making(
            samples=f"averaged weights{way}{classes}",
            labels=labels,
            trained_against_judge=any(met),
            sampling=method.sampling,
        )


def measured_result(
    fake: ImageSet, real: ImageSet | Summary | None, instruments: Instruments, making: Making, facts: dict[str, Any]
) -> dict[str, Any]:
    """Evaluate, and make the record of it: protocol, counts, values, ``facts``, environment.

    ``facts``: what was measured, such as experiment, checkpoint or folder, images seen, seeds, stage.
    """
    extractor, metrics = instruments.extractor, instruments.metrics
    values = evaluate(fake, real, instruments)
    names = name_all(
        values,
        extractor=extractor,
        judge=instruments.judge,
        image_size=fake.shape[1],
        num_images=len(fake),
        sampling=making.sampling,
        trained_against_judge=making.trained_against_judge,
    )
    count = 0 if real is None else real.num_images if isinstance(real, Summary) else len(real)
    notes = [
        real.facts.get("note") if isinstance(real, Summary) else None,
        small_sample_note(min(len(fake), count or len(fake)), extractor, metrics),
        negative_distance_note(values),
    ]
    return {
        "protocol": protocol_of(fake, real, instruments, making),
        "num_images": len(fake),
        "num_reference": count,
        "metrics": values,
        "names": sorted(names),
        "note": "; ".join(note for note in notes if note) or None,
        **facts,
        "environment": environment(instruments.work.device.type),
    }


def protocol_of(
    fake: ImageSet, real: ImageSet | Summary | None, instruments: Instruments, making: Making
) -> dict[str, Any]:
    """What the values depend on beside the images, as a result states it."""
    name, mark, reference_shape = "none", "", fake.shape
    if isinstance(real, Summary):
        name, mark = real.facts.get("name", "statistics"), real.facts.get("images", "")
        reference_shape = real.facts.get("image_shape", fake.shape)
    elif real is not None:
        name, mark, reference_shape = real.name, real.fingerprint(), real.shape
    judge, test = instruments.judge, instruments.test
    return make_protocol(
        instruments.extractor,
        image_shape=fake.shape,
        reference=name,
        reference_hash=mark,
        samples=making.samples,
        labels=making.labels,
        judge="none" if judge is None or test is None else f"{judge.name}, tested on {test.name}",
        settings=instruments.settings,
        trained_against_judge=making.trained_against_judge,
        sampling=making.sampling,
        several_sizes=0 in (*fake.shape, *reference_shape),
    ).as_dict()


def published_result(
    method: Draws, real: ImageSet | Summary, instruments: Instruments, drawing: Drawing, origin: Origin
) -> dict[str, Any]:
    """The result record of a generator against real images: what evaluate.py prints and train.py ends with."""
    check_generated(instruments.metrics)
    making = drawing.making(method, instruments)
    facts = origin.facts(method, sample_seed=drawing.seed)
    return measured_result(drawing.of(method, real), real, instruments, making, facts)


def test_record(
    method: Method, datamodule: ImageDataModule, task: str, values: dict[str, float], origin: Origin
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
        **origin.facts(method),
        "environment": environment(method.device.type),
    }


def reconstruction_result(
    method: Reconstructs, datamodule: ImageDataModule, instruments: Instruments, origin: Origin
) -> dict[str, Any]:
    """The result record of the test split's images as ``method`` makes them again, image k against its original."""
    originals, extractor = real_images(datamodule, "test"), instruments.extractor
    values = evaluate(Reconstructions(method, originals), originals, instruments)
    record = test_record(method, datamodule, "reconstruction", values, origin)
    record["protocol"]["quantization"] = QUANTIZATION
    if "feature_distance" in values:
        record["protocol"] |= {"extractor": extractor.name, "extractor_weights": extractor.weights}
    names = name_all(values, extractor=extractor, judge=None, image_size=originals.shape[1], num_images=len(originals))
    return record | {"names": sorted(names)}


def markdown_table(rows: list[tuple[str, str]]) -> str:
    """Two columns, aligned for the screen as well."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"| {name:<{width}} | {value} |" for name, value in rows)
