"""What the end of a training adds to the weights is in the last checkpoint and in all that is shown and measured of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from datamodules.digits import Digits
from generative.rendering.images import from_uint8, to_uint8
from launch.checkpoint import read_checkpoint
from records.run_files import read_lines, read_metrics
from tests.support.echo import Remembers, instead_of_classifier

SETTINGS = ("callbacks.reconstructions.every_kimg=0.016", "save_every_kimg=0.016")


def test_the_last_state_is_concluded_before_it_is_measured_saved_and_tested(small_run: Callable) -> None:
    """Until the end an empty bank makes black images; the end, at a multiple of every_kimg, finds it filled."""
    folder, _ = small_run(*instead_of_classifier(Remembers), *SETTINGS, "max_kimg=0.048")
    data = Digits(batch_size=16, seed=0)
    mean = data.split("train")[0].float().mean(dim=0)
    state = read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]
    assert torch.equal(state["bank"], mean)
    assert int(state["concluded_at"]) == 48

    def error(split: str, made: torch.Tensor) -> float:
        shown = from_uint8(to_uint8(data.split(split)[0]))
        return float((shown - from_uint8(to_uint8(made))).abs().mean() / 2)

    values = [
        row["metric/mae_8px_1438"] for row in read_metrics(folder / "metrics.csv") if "metric/mae_8px_1438" in row
    ]
    black = torch.full_like(mean, -1.0)
    assert values == pytest.approx([error("train", black)] * 2 + [error("train", mean)], abs=1e-5)
    (record,) = read_lines(folder / "results.jsonl")
    assert record["metrics"]["mae"] == pytest.approx(error("test", mean), abs=1e-5)


def test_a_run_goes_on_from_a_concluded_state_and_concludes_again(small_run: Callable) -> None:
    small_run(*instead_of_classifier(Remembers), *SETTINGS, "max_kimg=0.032")
    folder, _ = small_run(*instead_of_classifier(Remembers), *SETTINGS, "max_kimg=0.064", "resume=auto")
    checkpoint = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert checkpoint["images_seen"] == int(checkpoint["state_dict"]["concluded_at"]) == 64
    assert [line["kimg"] for line in read_lines(folder / "results.jsonl")] == [0.032, 0.064]


def test_a_run_that_is_trained_and_has_no_result_is_tested_as_it_was_concluded(small_run: Callable) -> None:
    folder, _ = small_run(*instead_of_classifier(Remembers), *SETTINGS, "max_kimg=0.032")
    before = read_lines(folder / "results.jsonl")[0]["metrics"]
    (folder / "results.jsonl").unlink()
    small_run(*instead_of_classifier(Remembers), *SETTINGS, "max_kimg=0.032", "resume=auto")
    assert read_lines(folder / "results.jsonl")[0]["metrics"] == before
