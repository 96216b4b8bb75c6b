"""Protocols: what a number depends on beside the images, its name, and which numbers may stand side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from metrics.features import EXTRACTORS, Extractor, FromClassifier, hash_of_tensors
from metrics.judge import Judge
from metrics.quality import CLASS_METRICS, Settings

# Names that the field gives to a distance in the features of one network, and to no other.
FIELD_NAMES = {
    ("fd", "inception"): "fid",
    ("sfd", "inception"): "sfid",
    ("fd", "inception_random"): "rfid",
    ("is", "inception"): "is",
    ("kid", "inception"): "kid",
    ("kid_error", "inception"): "kid_error",
    ("is_spread", "inception"): "is_spread",
}
QUANTIZATION = "uint8, rounded"
PAIRED = ("psnr", "ssim", "mae")  # need no network
OF_JUDGE = (*CLASS_METRICS, "judge_accuracy")
# Field of a protocol -> how two results come to agree in it.
REMEDIES = {
    "labels": "measure both with evaluate.py labels=balanced, or both with labels=data",
    "sampling": "measure both with evaluate.py sampling=<one of the two>",
}


@dataclass(frozen=True)
class MetricProtocol:
    """What a value depends on beside the images; two results compare only where it, and the counts, are equal."""

    extractor: str
    weights: str  # the start of the hash of the extractor's weights
    resize: str
    dtype: str
    quantization: str
    image_shape: list[int]
    reference: str  # data set and split
    reference_hash: str  # of the images
    samples: str  # how they were drawn
    labels: str  # the classes asked for: "data" or "balanced"; "none" without classes and of images as given
    num_neighbours: int
    num_subsets: int
    subset_size: int
    num_splits: int
    judge: str  # of the asked class
    trained_against_judge: bool  # whether the generator's training used the extractor's network or the judge's
    sampling: str | None = None  # how a generator drew that has several ways; the others do not state it

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "sampling" or value is not None}


def make_protocol(
    extractor: Extractor,
    *,
    image_shape: Sequence[int],
    reference: str,
    reference_hash: str,
    samples: str,
    labels: str = "none",
    judge: str,
    settings: Settings,
    trained_against_judge: bool = False,
    sampling: str | None = None,
    several_sizes: bool = False,
) -> MetricProtocol:
    """``several_sizes``: whether the images of a side have sizes of their own."""
    return MetricProtocol(
        extractor=extractor.name,
        weights=extractor.weights,
        resize=extractor.resize + (", each image from its own size" if several_sizes else ""),
        dtype="features float32, statistics float64",
        quantization=QUANTIZATION,
        image_shape=list(image_shape),
        reference=reference,
        reference_hash=reference_hash,
        samples=samples,
        labels=labels,
        num_neighbours=settings.num_neighbours,
        num_subsets=settings.num_subsets,
        subset_size=settings.subset_size,
        num_splits=settings.num_splits,
        judge=judge,
        trained_against_judge=trained_against_judge,
        sampling=sampling,
    )


def hash_of_average(classifier: object) -> str | None:
    """Of the averaged network by which a classifier that was trained here names images; None where it has none."""
    network = getattr(classifier, "averaged_network", None)
    return None if network is None else hash_of_tensors(network)


def was_met(judge: str | Extractor, trained_against: Sequence[str]) -> bool:
    """Whether a generator that was ``trained_against`` these names and hashes met a judge, or one of that name.

    A classifier is met by its name, or by its average's hash, whichever method's checkpoint holds it.
    """
    if name_of(judge) in trained_against:
        return True
    return isinstance(judge, FromClassifier) and hash_of_average(judge.network) in trained_against


def name_of(judge: str | Extractor) -> str:
    return judge if isinstance(judge, str) else judge.name


def check_judge(
    judge: str | Extractor, trained_against: Sequence[str], *, allowed: bool, remedy: str = "allow_trained_judge=true"
) -> bool:
    """Whether a judge met a generator that was ``trained_against`` these; ValueError where that is not ``allowed``."""
    if not was_met(judge, trained_against):
        return False
    if not allowed:
        others = [other for other in EXTRACTORS if other not in trained_against]
        raise ValueError(
            f"this generator was trained against {name_of(judge)}, which is therefore no judge of it: choose another "
            f"({', '.join(others)}), or give {remedy} and have the result marked"
        )
    return True


def short_count(number: int) -> str:
    """50000 -> 50k, 1797 -> 1797: how a metric's name states its number of images."""
    return f"{number // 1000}k" if number % 1000 == 0 and number > 0 else str(number)


def metric_name(
    metric: str,
    *,
    by: str,
    image_size: int,
    num_images: int,
    sampling: str | None = None,
    trained_against_judge: bool = False,
) -> str:
    """The protocol in a name: ``fid_50k`` (Inception only), ``fd_efficientnet_lite0_64px_5k``, ``fd_pixels_1797``.

    Of a generator that draws in several ways it ends with the one in use: ``fd_pixels_1797_running_statistics``.

    ``image_size`` 0 stands for images of several sizes: ``fd_efficientnet_lite0_several_sizes_5k``.

    ``by`` is the extractor, or for the asked class the judge; a reconstruction has neither (``psnr_64px_100``).
    """
    field_name = FIELD_NAMES.get((metric, by))
    size = f"{image_size}px" if image_size else "several_sizes"
    if field_name:
        parts = [field_name]
    elif metric in PAIRED:
        parts = [metric, size]
    else:
        parts = [metric, by] if by == "pixels" else [metric, by, size]
    marks = [*([sampling] if sampling else []), *(["trained_judge"] if trained_against_judge else [])]
    return "_".join([*parts, short_count(num_images), *marks])


def whole_names(
    metrics: Iterable[str],
    *,
    extractor: str,
    judge: str | None,
    image_size: int,
    num_images: int,
    sampling: str | None = None,
    trained_against_judge: bool = False,
) -> dict[str, str]:
    """Metric -> its whole name, by the names of the extractor and of the judge, if any."""
    return {
        metric: metric_name(
            metric,
            by=judge if judge is not None and metric in OF_JUDGE else extractor,
            image_size=image_size,
            num_images=num_images,
            sampling=sampling,
            trained_against_judge=trained_against_judge,
        )
        for metric in metrics
    }


def name_all(
    values: dict[str, float],
    *,
    extractor: Extractor,
    judge: Judge | None,
    image_size: int,
    num_images: int,
    sampling: str | None = None,
    trained_against_judge: bool = False,
) -> dict[str, float]:
    """The values under their whole names."""
    names = whole_names(
        values,
        extractor=extractor.name,
        judge=None if judge is None else judge.label,
        image_size=image_size,
        num_images=num_images,
        sampling=sampling,
        trained_against_judge=trained_against_judge,
    )
    return {names[metric]: value for metric, value in values.items()}


def matters(field: str, metrics: Collection[str]) -> bool:
    """Whether values of ``metrics`` depend on a field of a protocol."""
    if field == "judge":
        return bool(set(metrics) & set(OF_JUDGE))
    if field in ("extractor", "weights", "extractor_weights", "resize"):
        return not set(metrics) <= {*PAIRED, *OF_JUDGE}
    return True


def asked_labels(protocol: dict[str, Any]) -> str:
    """How the classes of the samples were shared out: results from before that was stated were of balanced classes, if of any."""
    without_classes = protocol.get("samples") in ("averaged weights", "images as given")
    return str(protocol.get("labels", "none" if without_classes else "balanced"))


def protocol_differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What stands in the way of comparing the metrics that two result records share, in words; empty if nothing does."""
    one, other = (
        record["protocol"] | ({} if "task" in record["protocol"] else {"labels": asked_labels(record["protocol"])})
        for record in (a, b)
    )
    shared = a["metrics"].keys() & b["metrics"].keys()
    if not shared:
        return ["they share no metric"]
    # The same images may lie elsewhere.
    same_images = one.get("reference_hash") and one.get("reference_hash") == other.get("reference_hash")
    found = [
        f"{key}: {one.get(key)!r} against {other.get(key)!r}"
        for key in sorted({*one, *other} - ({"reference"} if same_images else set()))
        if one.get(key) != other.get(key) and matters(key, shared)
    ]
    return found + [
        f"{key}: {a.get(key)} against {b.get(key)}"
        for key in ("num_images", "num_reference")
        if a.get(key) != b.get(key)
    ]


def check_comparable(records: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """ValueError that names the difference where results were not made under one protocol."""
    for record, name in zip(records[1:], names[1:], strict=True):
        differences = protocol_differences(records[0], record)
        if differences:
            remedies = [
                words for field, words in REMEDIES.items() if any(d.startswith(f"{field}: ") for d in differences)
            ]
            raise ValueError(
                f"{names[0]} and {name} were measured under different protocols and do not compare: "
                f"{'; '.join([*differences, *remedies])}"
            )
