"""Methods of a few lines, saved as checkpoints: each is measured by all that it can do, a record for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import launch.constructors
from datamodules.digits import Digits
from generative.randomness import Stream
from launch.build import build
from launch.checkpoint import AtomicCheckpointIO
from launch.compose import compose, plain
from launch.evaluate.capabilities import own_tests
from lightning_modules.base import Draws, Method, Reconstructs
from metrics.measures import Measures
from records.results import EVALUATION, Origin
from tests.test_evaluate import evaluated


class Dims(Reconstructs):
    """Makes an image again a little darker, by a learned amount: 2.55 levels of 255 where it is white."""

    def __init__(self, *, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> None:
        super().__init__(image_shape=image_shape, num_classes=num_classes, seed=seed)
        self.factor = nn.Parameter(torch.tensor(0.98))

    def configure_optimizers(self) -> None:
        return None

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        self.count_images(batch["image"])

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return (images + 1) * self.factor - 1


class DimsAndDraws(Dims, Draws):
    """It draws noise as well, without classes, and was trained against the network of a judge."""

    trained_against = ("efficientnet_lite0",)

    def __init__(self, *, image_shape: tuple[int, int, int], num_classes: int, seed: int) -> None:
        super().__init__(image_shape=image_shape, num_classes=0, seed=seed)

    def sample(
        self,
        first: int,
        count: int,
        *,
        seed: int,
        labels: Tensor | Sequence[int] | None = None,
        image_size: int | None = None,
    ) -> Tensor:
        noise = Stream(seed, "evaluation").uniform(first, count, self.image_shape[1] * self.image_shape[2])
        return 2 * noise.unflatten(1, self.image_shape).float() - 1


class DrawsTwoWays(DimsAndDraws):
    """It draws noise, or the negative of it."""

    samplings = ("as_it_is", "as_negative")
    sampling = "as_it_is"

    def sample(self, first: int, count: int, *, seed: int, **others: Any) -> Tensor:
        images = super().sample(first, count, seed=seed)
        return images if self.sampling == "as_it_is" else -images


class DrawsAndCounts(DimsAndDraws):
    """It has tests of its own as well, whose values are known."""

    test_task = "counting"
    measures: ClassVar[Measures] = {"counted": "higher"}

    def test_results(self) -> dict[str, dict[str, float]]:
        return {"counting": {"counted": 3.0}}


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods of this file may stand in a checkpoint."""
    monkeypatch.setattr(
        launch.constructors, "TRUSTED_PACKAGES", (*launch.constructors.TRUSTED_PACKAGES, f"{__name__}.")
    )


def saved(kind: type, path: Path, *overrides: str) -> str:
    """``checkpoint=`` a file of ``kind`` for the digits."""
    config = plain(compose("train", ["experiment=none", "max_kimg=1", "run_dir=nowhere", *overrides]))
    config["method"] = {"_target_": f"{kind.__module__}.{kind.__qualname__}"}
    config["experiment_name"] = "few_lines"
    _, method = build(config)
    state = {"config": config, "images_seen": 0, "state_dict": method.state_dict()}
    AtomicCheckpointIO().save_checkpoint(state, path)
    return f"checkpoint={path}"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


DIGITS = ("datamodule=digits",)


def test_what_is_made_again_is_measured_against_its_originals(tmp_path: Path) -> None:
    at = saved(Dims, tmp_path / "dims.ckpt", *DIGITS)
    record = evaluated(at, "output=out.jsonl")
    assert lines(tmp_path / "out.jsonl") == [record]
    assert record["metrics"].keys() == {"psnr", "mae"}, "ssim needs 11 pixels, raw pixels have no stages"
    assert 0.001 < record["metrics"]["mae"] < 0.02
    assert record["metrics"]["psnr"] > 35
    assert record["names"] == ["mae_8px_359", "psnr_8px_359"]
    protocol = record["protocol"]
    assert (protocol["task"], protocol["data"], protocol["weights"]) == ("reconstruction", "digits:test", "averaged")
    assert protocol["quantization"] == "uint8, rounded"
    assert (record["num_images"], record["experiment"], record["checkpoint"]) == (359, "few_lines", "dims.ckpt")
    assert evaluated(at, "metrics=mae", "output=b.jsonl")["metrics"] == {"mae": record["metrics"]["mae"]}
    with pytest.raises(ValueError, match="fd measure samples, and a Dims draws none: choose from psnr"):
        evaluated(at, "metrics=[fd,psnr]")
    with pytest.raises(
        ValueError, match="seed= has no effect on reconstructions, which are measured of the test images"
    ):
        evaluated(at, "seed=3")
    with pytest.raises(ValueError, match="pixels has no stages to compare images in"):
        evaluated(at, "metrics=[feature_distance]", "extractor=pixels")


def test_one_that_draws_and_reconstructs_is_measured_as_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = saved(DimsAndDraws, tmp_path / "both.ckpt", *DIGITS)
    first = evaluated(at, "output=out.jsonl", "num_images=50", "cache=null")
    samples, reconstructions = lines(tmp_path / "out.jsonl")
    assert first == samples
    assert samples["metrics"].keys() == {"fd", "precision", "recall"}
    assert (samples["num_images"], samples["protocol"]["samples"]) == (50, "averaged weights")
    assert reconstructions["protocol"]["task"] == "reconstruction"
    assert reconstructions["metrics"].keys() == {"psnr", "mae"}
    shown = capsys.readouterr().out
    assert shown.count("| metric ") == 2, "a table each"
    assert json.loads(shown.splitlines()[-1]) == reconstructions


def test_metrics_that_are_asked_for_choose_what_is_measured(tmp_path: Path) -> None:
    at = saved(DimsAndDraws, tmp_path / "both.ckpt", *DIGITS)
    assert evaluated(at, "metrics=[psnr]", "output=pairs.jsonl")["protocol"]["task"] == "reconstruction"
    assert evaluated(at, "metrics=[fd]", "num_images=50", "output=fd.jsonl")["metrics"].keys() == {"fd"}
    evaluated(at, "metrics=[psnr,fd,mae]", "num_images=50", "output=mixed.jsonl")
    assert [list(record["metrics"]) for record in lines(tmp_path / "mixed.jsonl")] == [["fd"], ["psnr", "mae"]]
    assert len(lines(tmp_path / "pairs.jsonl")) == len(lines(tmp_path / "fd.jsonl")) == 1
    with pytest.raises(ValueError, match="num_images= has no effect on reconstructions"):
        evaluated(at, "metrics=[psnr]", "num_images=50")
    with pytest.raises(ValueError, match="labels= has no effect on a model without classes"):
        evaluated(at, "labels=balanced")


def test_the_way_of_drawing_is_chosen_and_stated(tmp_path: Path) -> None:
    at = saved(DrawsTwoWays, tmp_path / "two.ckpt", *DIGITS)
    asked = (at, "metrics=[fd]", "num_images=50")
    own = evaluated(*asked, "output=own.jsonl")
    other = evaluated(*asked, "sampling=as_negative", "output=other.jsonl")
    assert own["names"] == ["fd_pixels_50_as_it_is"]
    assert other["names"] == ["fd_pixels_50_as_negative"]
    assert (own["protocol"]["sampling"], own["protocol"]["samples"]) == ("as_it_is", "averaged weights, as it is")
    assert (other["protocol"]["sampling"], other["protocol"]["samples"]) == (
        "as_negative",
        "averaged weights, as negative",
    )
    assert own["metrics"]["fd"] != other["metrics"]["fd"]
    assert own["protocol"].keys() == other["protocol"].keys()
    with pytest.raises(ValueError, match="sampling: 'as_it_is' against 'as_negative'; measure both"):
        evaluated("compare=[own.jsonl,other.jsonl]")
    assert len(evaluated("compare=[own.jsonl,own.jsonl]")["results"]) == 2
    with pytest.raises(ValueError, match="sampling must be as_it_is or as_negative, got 'batch_statistics'"):
        evaluated(*asked, "sampling=batch_statistics")
    with pytest.raises(ValueError, match="sampling= has no effect on reconstructions"):
        evaluated(at, "metrics=[psnr]", "sampling=as_negative")


def test_one_that_draws_in_one_way_has_none_to_choose_and_states_none(tmp_path: Path) -> None:
    at = saved(DimsAndDraws, tmp_path / "one.ckpt", *DIGITS)
    record = evaluated(at, "metrics=[fd]", "num_images=50", "output=out.jsonl")
    assert (record["names"], record["protocol"]["samples"]) == (["fd_pixels_50"], "averaged weights")
    assert "sampling" not in record["protocol"]
    with pytest.raises(ValueError, match="DimsAndDraws draws in one way only: leave out sampling=as_negative"):
        evaluated(at, "metrics=[fd]", "sampling=as_negative")


def test_a_network_that_it_was_trained_against_is_no_judge_of_what_it_makes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Digits.load
    monkeypatch.setattr(Digits, "load", lambda self, split: tuple(part[:20] for part in whole(self, split)))
    own = saved(Dims, tmp_path / "dims.ckpt", *DIGITS)
    both = saved(DimsAndDraws, tmp_path / "both.ckpt", *DIGITS)
    asked = ("extractor=efficientnet_lite0", "metrics=[mae,feature_distance]")
    record = evaluated(own, *asked, "output=out.jsonl")
    assert record["metrics"]["feature_distance"] > 0
    assert record["protocol"]["extractor"] == "efficientnet_lite0"
    assert "feature_distance_efficientnet_lite0_8px_20" in record["names"]
    with pytest.raises(ValueError, match="was trained against efficientnet_lite0, which is therefore no judge of its"):
        evaluated(both, *asked)


def test_tests_of_its_own_are_a_record_beside_the_others(tmp_path: Path) -> None:
    at = saved(DrawsAndCounts, tmp_path / "all.ckpt", *DIGITS)
    evaluated(at, "num_images=50", "metrics=[fd,mae]", "output=out.jsonl")
    tasks = [record["protocol"].get("task", "samples") for record in lines(tmp_path / "out.jsonl")]
    assert tasks == ["samples", "reconstruction", "counting"]
    assert lines(tmp_path / "out.jsonl")[-1]["metrics"] == {"counted": 3.0}


class Counts(Method):
    """Nothing but a test of its own."""

    test_task = "counting"

    def test_results(self) -> dict[str, dict[str, float]]:
        return {"counting": {"counted": 3.0}}


def test_a_method_is_where_it_was_after_its_own_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer leaves it on the CPU. What is tested next would be tested there, and the record would not name the GPU."""

    class LeavesOnTheCPU:
        def test(self, method: Method, datamodule: object, *, verbose: bool) -> None:
            method.cpu()

    monkeypatch.setattr("launch.evaluate.capabilities.bare_trainer", lambda device: LeavesOnTheCPU())
    config = plain(compose("train", ["experiment=none", "datamodule=digits", "max_kimg=1", "run_dir=nowhere"]))
    datamodule, _ = build(config)
    method = Counts(image_shape=(1, 8, 8), num_classes=0, seed=0).to("meta")
    method.run_config = config
    own_tests(method, datamodule, Origin(stage=EVALUATION, checkpoint="last.ckpt"))
    assert method.device.type == "meta"
