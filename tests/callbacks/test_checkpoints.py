"""States that are kept for good: at which times, under which names, and of what a run has learned by then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from callbacks.checkpoints import Checkpoints, kept_name
from launch.checkpoint import read_checkpoint
from records.run_files import read_lines, read_metrics
from tests.support.echo import Remembers, instead_of_classifier
from tests.test_evaluate import evaluated

KEEPS = (*instead_of_classifier(Remembers), "callbacks.reconstructions.every_kimg=0", "callbacks.samples.every_kimg=0")


def kept(folder: Path) -> dict[str, int]:
    """Kept files -> the images that each has seen."""
    return {path.name: read_checkpoint(path)["images_seen"] for path in (folder / "checkpoints").glob("*kimg.ckpt")}


def test_names_state_the_time_that_was_asked_for_and_never_collide() -> None:
    assert kept_name(25_024, every_kimg=25) == "25kimg.ckpt"
    assert kept_name(1_250_000, every_kimg=25) == "1250kimg.ckpt"
    assert kept_name(49_999, every_kimg=25) == "25kimg.ckpt"
    assert [kept_name(images, every_kimg=0.5) for images in (512, 1024, 1536)] == [
        "0.5kimg.ckpt",
        "1kimg.ckpt",
        "1.5kimg.ckpt",
    ]
    assert kept_name(1_234_567_912, every_kimg=0.1) == "1234567.9kimg.ckpt"


@pytest.mark.parametrize("every_kimg", [-1, 0.0004, float("nan")])
def test_times_that_are_none_are_refused(every_kimg: float) -> None:
    with pytest.raises(ValueError, match=r"keep_every_kimg must be 0 \(none\) or at least 0.001, one image, got"):
        Checkpoints(run_dir="run", every_kimg=1, keep_every_kimg=every_kimg)


def test_states_are_kept_after_the_step_that_reaches_their_time_also_by_a_run_that_goes_on(
    small_run: Callable, tmp_path: Path
) -> None:
    """16 images a step, kept every 40: at 48, 80 and 128; the run stops at 80, and so does one that does not."""
    small_run(*KEEPS, "callbacks.checkpoints.keep_every_kimg=0.04", "max_kimg=0.08")
    folder, _ = small_run(*KEEPS, "callbacks.checkpoints.keep_every_kimg=0.04", "max_kimg=0.128", "resume=auto")
    expected = {"0.04kimg.ckpt": 48, "0.08kimg.ckpt": 80, "0.12kimg.ckpt": 128}
    assert kept(folder) == expected
    # What trains is the same; what the end adds is in the state at an end: kept at 80 by the first run, and at 128.
    state = {name: read_checkpoint(folder / "checkpoints" / name)["state_dict"] for name in (*expected, "last.ckpt")}
    assert [int(state[name]["concluded_at"]) for name in state] == [0, 80, 128, 128]
    # A run in another folder keeps from where it starts.
    start = f"resume={folder}/checkpoints/0.08kimg.ckpt"
    other, _ = small_run(
        *KEEPS, "callbacks.checkpoints.keep_every_kimg=0.04", "max_kimg=0.128", start, run_dir=tmp_path / "other"
    )
    assert kept(other) == {"0.12kimg.ckpt": 128}


def test_the_best_and_all_names_follow_the_way_in_which_a_generator_draws(small_run: Callable) -> None:
    counts = [f"callbacks.metrics.{part}num_{what}=70" for part in ("", "test_") for what in ("images", "reference")]
    folder, values = small_run(
        "method=dcgan", "method.generator.normalization=batch", "method.critic.normalization=batch",
        "method.generator.width=4", "method.critic.width=4", "method.sample_statistics=batch",
        "callbacks.metrics.metrics=[fd]", "callbacks.metrics.test_metrics=[fd]", *counts,
        "callbacks.metrics.every_kimg=0.016", "callbacks.checkpoints.best=fd", "max_kimg=0.032",
        "callbacks.checkpoints.keep_every_kimg=0.016",
    )  # fmt: skip
    name = "fd_pixels_70_batch_statistics"
    measured = [row for row in read_metrics(folder / "metrics.csv") if f"metric/{name}" in row]
    assert len(measured) == 2
    best = min(measured, key=lambda row: row[f"metric/{name}"])
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["images_seen"] == 1000 * best["progress/kimg"]
    (record,) = read_lines(folder / "results.jsonl")
    assert (record["names"], record["protocol"]["sampling"]) == ([name], "batch_statistics")
    assert values[f"metric/{name}"] == record["metrics"]["fd"]
    again = evaluated(f"checkpoint={folder}/checkpoints/last.ckpt", "metrics=[fd]", "num_images=70", "num_reference=70")
    assert (again["metrics"], again["protocol"]) == (record["metrics"], record["protocol"])
    early = evaluated(
        f"checkpoint={folder}/checkpoints/0.016kimg.ckpt", "metrics=[fd]", "num_images=70", "num_reference=70",
        "sampling=running_statistics",
    )  # fmt: skip
    assert (early["checkpoint"], early["kimg"]) == ("0.016kimg.ckpt", 0.016)
    assert early["names"] == ["fd_pixels_70_running_statistics"]
