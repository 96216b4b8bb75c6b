"""Names state protocols, and results of different protocols do not meet."""

from __future__ import annotations

from typing import Any

import pytest

from metrics.features import Pixels
from metrics.protocols import check_comparable, check_judge, make_protocol, metric_name, short_count
from metrics.quality import Settings


def record(**changes: object) -> dict:
    protocol = make_protocol(
        Pixels((1, 8, 8)), image_shape=(1, 8, 8), reference="digits:all", reference_hash="ab", samples="s", judge="none",
        settings=Settings(),
    ).as_dict()  # fmt: skip
    counts = {key: changes.pop(key, 500) for key in ("num_images", "num_reference")}
    metrics = changes.pop("metrics", {"fd": 1.0, "accuracy": 0.9})
    return {"protocol": protocol | changes, "metrics": metrics, **counts}


def test_names() -> None:
    def name(metric: str, by: str, count: int, **options: Any) -> str:
        return metric_name(metric, by=by, image_size=64, num_images=count, **options)

    assert name("fd", "pixels", 1797) == "fd_pixels_1797"
    assert name("fd", "inception", 50_000) == "fid_50k"
    assert name("sfd", "inception", 50_000) == "sfid_50k"
    assert name("fd", "inception_random", 50_000) == "rfid_50k"
    assert name("fd", "efficientnet_lite0", 5000) == "fd_efficientnet_lite0_64px_5k", "FID is Inception's alone"
    assert name("precision", "inception", 50_000) == "precision_inception_64px_50k"
    assert name("fd", "dinov2", 10_000, trained_against_judge=True) == "fd_dinov2_64px_10k_trained_judge"
    assert name("psnr", "pixels", 100) == "psnr_64px_100"
    batch = {"sampling": "batch_statistics"}
    assert name("fd", "pixels", 1797, **batch) == "fd_pixels_1797_batch_statistics"
    assert name("fd", "inception", 5000, **batch, trained_against_judge=True) == "fid_5k_batch_statistics_trained_judge"
    assert short_count(0) == "0"


def test_results_of_one_protocol_compare_and_others_do_not() -> None:
    check_comparable([record(), record(), record(reference="elsewhere")], ["a", "b", "c"])
    for changes, words in (
        ({"resize": "clean"}, "resize: 'none' against 'clean'"),
        ({"reference": "digits:train", "reference_hash": "cd"}, "reference: 'digits:all' against 'digits:train'"),
        ({"num_images": 400}, "num_images: 500 against 400"),
        ({"trained_against_judge": True}, "trained_against_judge: False against True"),
    ):
        with pytest.raises(ValueError, match=f"a and c .* do not compare: {words}"):
            check_comparable([record(), record(), record(**changes)], ["a", "b", "c"])


def test_the_way_of_drawing_is_stated_where_there_are_several_and_not_mixed() -> None:
    assert "sampling" not in record()["protocol"], "results of other methods stay as they are"
    running, batch = (record(sampling=f"{statistics}_statistics") for statistics in ("running", "batch"))
    check_comparable([running, running], ["a", "b"])
    with pytest.raises(
        ValueError,
        match=r"sampling: 'running_statistics' against 'batch_statistics'; measure both with evaluate.py sampling=<one of",
    ):
        check_comparable([running, batch], ["a", "b"])
    with pytest.raises(ValueError, match="sampling: None against 'batch_statistics'"):
        check_comparable([record(), batch], ["a", "b"])


def test_results_that_do_not_state_their_labels_are_of_balanced_classes_if_of_any() -> None:
    def result(labels: str | None, samples: str) -> dict:
        made = record(samples=samples, labels=labels)
        if labels is None:
            del made["protocol"]["labels"]
        return made

    classes = "averaged weights, class k mod 10 for image k"
    check_comparable([result(None, classes), result("balanced", classes), result(None, classes)], ["a", "b", "c"])
    for samples in ("averaged weights", "images as given"):
        check_comparable([result("none", samples), result(None, samples)], ["a", "b"])
    with pytest.raises(ValueError, match="labels: 'balanced' against 'data'"):
        check_comparable([result(None, classes), result("data", classes)], ["a", "b"])


def test_only_what_a_metric_depends_on_stands_in_the_way() -> None:
    fd, psnr = {"metrics": {"fd": 1.0}}, {"metrics": {"psnr": 20.0}}
    check_comparable([record(**fd), record(judge="another")], ["a", "b"])
    check_comparable([record(**psnr), record(**psnr, extractor="another", weights="another")], ["a", "b"])
    with pytest.raises(ValueError, match="judge: 'none' against 'another'"):
        check_comparable([record(), record(judge="another")], ["a", "b"])
    with pytest.raises(ValueError, match="they share no metric"):
        check_comparable([record(**fd), record(**psnr)], ["a", "b"])


def test_a_network_that_a_generator_was_trained_against_is_no_judge() -> None:
    assert not check_judge("efficientnet_lite1", ("efficientnet_lite0",), allowed=False)
    assert check_judge("efficientnet_lite0", ("efficientnet_lite0",), allowed=True), "and the result is marked"
    with pytest.raises(
        ValueError, match=r"trained against efficientnet_lite0.*choose another \(pixels, efficientnet_lite1"
    ):
        check_judge("efficientnet_lite0", ("efficientnet_lite0",), allowed=False)
