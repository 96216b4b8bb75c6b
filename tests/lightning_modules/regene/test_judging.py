"""Judges of ReGene's images see what they learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from generative.rendering.images import to_uint8
from launch.compose import compose, plain
from launch.evaluate.capabilities import measure_checkpoint
from launch.evaluate.requests import CheckpointRequest, request_of
from lightning_modules.regene.judging import chosen_extractor, chosen_instruments, chosen_judge, judging_network
from tests.support.banks import Identity, Shrinking, SmallData, shrinking


def test_the_machine_on_pixels_knows_the_images_that_it_learned_from() -> None:
    """They are floats in the data module, and bytes where it judges."""
    data = SmallData()
    images, labels = data.split("train")
    judge = chosen_judge(data, None)  # type: ignore[arg-type]
    assert judge.extractor is None
    assert float((judge.predict(to_uint8(images)) == labels).double().mean()) > 0.9


def test_a_network_judges_and_measures_where_it_is_asked_to() -> None:
    method, data = shrinking(), SmallData()
    network = judging_network(method, [Shrinking()])  # type: ignore[arg-type]
    assert network is not None
    images, labels = data.split("train")
    assert torch.equal(chosen_judge(data, network).predict(to_uint8(images)), labels)  # type: ignore[arg-type]
    assert chosen_extractor(method, network, by_features=True) is network  # type: ignore[arg-type]
    assert chosen_extractor(method, network, by_features=False).name == "pixels"  # type: ignore[arg-type]


def test_too_many_images_for_the_machine_ask_for_a_network() -> None:
    class Many(SmallData):
        def split(self, name: str) -> tuple[Tensor, Tensor]:
            return torch.zeros(20_001, 1, 3, 3), torch.arange(20_001) % 2

    with pytest.raises(
        ValueError, match=r"20001 images of 9 values are too many .* judge=\[<checkpoint of a classifier>\]"
    ):
        chosen_judge(Many(), None)  # type: ignore[arg-type]


def test_judges_that_cannot_be_are_refused() -> None:
    method, judge = shrinking(), Shrinking()
    for some in (method, judge):  # of one bit pattern
        some.network, some.averaged_network = nn.Linear(9, 2), nn.Linear(9, 2)
        nn.init.ones_(some.averaged_network.weight), nn.init.zeros_(some.averaged_network.bias)
    for given, message in (
        ([judge], "judge is the classifier whose latents are combined: give one that was trained apart from it"),
        ([], "judge takes one checkpoint of a classifier, got 0: name one"),
        ([Identity()], r"judge names images \(1, 2, 2\), and these are \(1, 3, 3\): give a classifier of their size"),
        (None, r"by_features=true measures in a judge's features: give judge=\[<checkpoint of a classifier>\]"),
    ):
        with pytest.raises(ValueError, match=message):
            chosen_instruments(method, SmallData(), given, by_features=True, metrics=["fd"])  # type: ignore[arg-type]


ENCODER = (
    "{_target_:lightning_modules.regene.networks.Encoder,_partial_:true,"
    "plan:[[3,3],[3],[3,3]],map_size:2,width:16,kernel:used,normalization:group}"
)
LAST = "checkpoints/last.ckpt"
ONE_STEP = ("max_kimg=0.016", "callbacks.metrics.every_kimg=0", "callbacks.samples.every_kimg=0")


def measured(checkpoint: Path, *asked: str) -> dict[str, Any]:
    """What evaluate.py makes of it, the first record."""
    request = request_of(plain(compose("evaluate", [f"checkpoint={checkpoint}", *asked])))
    assert isinstance(request, CheckpointRequest)
    return measure_checkpoint(request)[0][0]


def test_the_classifier_that_a_checkpoint_learned_from_does_not_judge_it(
    small_run: Callable[..., tuple[Path, dict[str, float]]], tmp_path: Path
) -> None:
    """Its own, or that of the run whose weights it took: another method's file, with other weights beside the average."""
    network = ("method=classifier", "~method.backbone", f"+method.backbone={ENCODER}")
    named, other = (
        small_run(*network, f"seed={seed}", *ONE_STEP, run_dir=tmp_path / str(seed))[0] / LAST for seed in (0, 1)
    )
    chain = (
        "method=regene",
        "method.classifier_kimg=0",
        f"method.weights={named}",
        "callbacks.metrics.test_metrics=[]",
    )
    drawn = small_run(*chain, *ONE_STEP, run_dir=tmp_path / "drawn")[0] / LAST
    judged = (f"judge=classifier:{named}", "metrics=[accuracy]", "num_images=20")
    refused = r"trained against classifier_.{4}, which is therefore no judge of it: .*allow_trained_judge=true"
    for asked in ((f"extractor=classifier:{drawn}", "metrics=[fd]", "num_images=20"), judged):
        with pytest.raises(ValueError, match=refused):
            measured(drawn, *asked)
    marked = measured(drawn, *judged, "allow_trained_judge=true")
    assert marked["protocol"]["trained_against_judge"] is True
    assert marked["names"][0].endswith("_trained_judge")
    with pytest.raises(
        ValueError, match=r"trained against classifier_.{4}, which is therefore no judge of its reconst"
    ):
        measured(drawn, f"extractor=classifier:{named}", "metrics=[feature_distance]")
    free = measured(drawn, f"judge=classifier:{other}", *judged[1:])
    assert free["protocol"]["trained_against_judge"] is False
