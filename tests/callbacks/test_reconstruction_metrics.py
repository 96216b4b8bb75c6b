"""Images made again, and their originals: what is logged of them, which checkpoint is the best, what the test stage leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callbacks.reconstruction_metrics import ReconstructionMetrics
from launch.checkpoint import read_checkpoint
from records.results import TEST_STAGE
from records.run_files import read_lines, read_metrics
from tests.support.echo import Echo, Mirror, instead_of_classifier

ERRORS = "+method.errors=[0.4,0.125,0.25,0.5,0.0625]"  # of the steps; the least one is the last
UP_AND_DOWN = "+method.errors=[0.4,0.125,0.25,0.5,0.3]"  # the second is the best, the fourth the worst
OFTEN = ("callbacks.reconstructions.every_kimg=0.016", "max_kimg=0.08")


def column(folder: Path, name: str) -> list[float]:
    return [row[name] for row in read_metrics(folder / "metrics.csv") if name in row]


@pytest.mark.parametrize("best", ["mae", "psnr", "metric/psnr_8px_100"])
def test_the_best_checkpoint_is_that_of_the_smallest_error_whichever_way_it_is_measured(
    best: str, small_run: Callable
) -> None:
    """The mean absolute error is better when lower, the signal-to-noise ratio when higher."""
    settings = (*OFTEN, "callbacks.reconstructions.num_images=100", f"callbacks.checkpoints.best={best}")
    folder, _ = small_run(*instead_of_classifier(Echo, UP_AND_DOWN), *settings)
    mae, psnr = column(folder, "metric/mae_8px_100"), column(folder, "metric/psnr_8px_100")
    assert (mae.index(min(mae)), mae.index(max(mae))) == (1, 3), "up and down, by construction"
    assert (psnr.index(max(psnr)), psnr.index(min(psnr))) == (1, 3)
    assert column(folder, "best/mae_8px_100") == [mae[0], *[mae[1]] * 4]
    assert column(folder, "best/psnr_8px_100") == [psnr[0], *[psnr[1]] * 4]
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["images_seen"] == 32

    # Going on, a value between the best and the others replaces nothing; a better one does.
    more = [
        *instead_of_classifier(Echo, "+method.errors=[9,9,9,9,9,0.2,0.0625]"),
        *settings[2:],
        "callbacks.reconstructions.num_images=100",
    ]
    small_run(*more, "callbacks.reconstructions.every_kimg=0.016", "max_kimg=0.096", "resume=auto")
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["images_seen"] == 32
    small_run(*more, "callbacks.reconstructions.every_kimg=0.016", "max_kimg=0.112", "resume=auto")
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["images_seen"] == 112


def test_the_test_stage_measures_every_test_image_once(small_run: Callable) -> None:
    folder, measured = small_run(*instead_of_classifier(Echo, ERRORS), *OFTEN)
    (record,) = read_lines(folder / "results.jsonl")
    assert record["protocol"]["task"] == "reconstruction"
    assert record["protocol"]["data"] == "digits:test"
    assert (record["num_images"], record["stage"], record["kimg"]) == (359, TEST_STAGE, 0.08)
    assert record["metrics"].keys() == {"psnr", "mae"}, "images of 8 pixels have no ssim"
    assert measured == {
        **{f"metric/{name}_8px_359": value for name, value in record["metrics"].items()},
        **{f"metric/{name}_8px_1438": column(folder, f"metric/{name}_8px_1438")[-1] for name in record["metrics"]},
    }
    # 0.0625 of the range of 2 is 8 levels of 255, where no pixel is too bright already.
    assert 0.5 * 8 / 255 < record["metrics"]["mae"] < 8 / 255


def test_one_that_draws_and_reconstructs_is_measured_as_both(small_run: Callable) -> None:
    settings = ("max_kimg=0.032", "callbacks.metrics.metrics=[fd]", "callbacks.metrics.test_metrics=[fd]")
    folder, measured = small_run(*instead_of_classifier(Mirror), *settings)
    names = {name for row in read_metrics(folder / "metrics.csv") for name in row}
    assert {f"{kind}/{name}" for kind in ("metric", "best") for name in ("fd_pixels_1438", "psnr_8px_1438")} <= names
    assert {"metric/fd_pixels_1438", "metric/fd_pixels_1797", "metric/psnr_8px_359"} <= measured.keys()
    records = read_lines(folder / "results.jsonl")
    assert [set(record["metrics"]) for record in records] == [{"fd"}, {"psnr", "mae"}]


@pytest.mark.soak
def test_two_ranks_measure_what_one_does_and_leave_one_record(program: Callable, tmp_path: Path) -> None:
    settings = [*instead_of_classifier(Echo, ERRORS), *OFTEN, "experiment=none", "datamodule=digits", "num_threads=1"]
    for name, trainer in {"one": ["trainer=cpu"], "two": ["trainer=ddp", "trainer.accelerator=cpu"]}.items():
        done = program("train.py", *settings, "datamodule.batch_size=16", *trainer, f"run_dir={tmp_path / name}")
        assert done.returncode == 0, done.stderr
    one, two = (read_lines(tmp_path / name / "results.jsonl") for name in ("one", "two"))
    assert len(one) == len(two) == 1
    assert two[0]["metrics"] == pytest.approx(one[0]["metrics"], rel=1e-9)
    for name in ("metric/psnr_8px_1438", "best/mae_8px_1438"):
        assert column(tmp_path / "two", name) == pytest.approx(column(tmp_path / "one", name), rel=1e-9)


def test_of_a_large_set_no_more_than_usual_are_made_again(small_run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callbacks.reconstruction_metrics.USUAL", 50)
    folder, _ = small_run(*instead_of_classifier(Echo), *OFTEN)
    names = {name for row in read_metrics(folder / "metrics.csv") for name in row}
    assert "metric/mae_8px_50" in names
    assert "metric/mae_8px_1438" not in names


def test_large_images_have_ssim() -> None:
    metrics = ReconstructionMetrics(run_dir="run", every_kimg=1, metrics=["psnr", "ssim", "mae"])
    assert metrics.measures(Echo(image_shape=(1, 11, 11), num_classes=0, seed=0)) == ["psnr", "ssim", "mae"]
    assert metrics.measures(Echo(image_shape=(1, 11, 10), num_classes=0, seed=0)) == ["psnr", "mae"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["fd"]}, "callbacks.reconstructions.metrics has 'fd', .*: choose from psnr, ssim, mae"),
        ({"num_images": 1}, "callbacks.reconstructions.num_images must be at least 2, got 1"),
        ({"batch_size": 0}, "callbacks.reconstructions.batch_size must be at least 1, got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReconstructionMetrics(**({"run_dir": "run", "every_kimg": 1, "metrics": ["mae"]} | settings))


def test_a_number_that_the_data_do_not_have_is_told_before_the_first_step(small_run: Callable) -> None:
    with pytest.raises(ValueError, match="digits:train has 1438 images: 9999 of them cannot be chosen"):
        small_run(*instead_of_classifier(Echo), "max_kimg=0.016", "callbacks.reconstructions.num_images=9999")
    assert not Path("run").exists()


def test_methods_that_do_not_reconstruct_are_left_alone(small_run: Callable) -> None:
    folder, _ = small_run("method=classifier", "max_kimg=0.032", "callbacks.reconstructions.num_images=9999")
    assert [json.loads(line)["protocol"]["task"] for line in (folder / "results.jsonl").open()] == ["classification"]
    assert not [name for row in read_metrics(folder / "metrics.csv") for name in row if "reconstruction" in name]
