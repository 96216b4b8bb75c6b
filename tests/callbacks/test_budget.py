"""The end of a run: its budget, or a value that is not a number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from callbacks.budget import ImageBudget, NonFiniteError
from launch.checkpoint import read_checkpoint
from lightning_modules.base import Method
from records.run_files import read_metrics


def test_guard_names_step_and_loss_and_saves_nothing_bad(
    small_run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = Method.record

    def poisoned(self: Method, losses: dict[str, torch.Tensor]) -> None:
        if self.images_seen == 16 * 5:
            losses = losses | {"loss/generator": torch.tensor(float("nan"))}
        record(self, losses)

    monkeypatch.setattr(Method, "record", poisoned)
    with pytest.raises(
        NonFiniteError, match=r"loss/generator = nan at step 6 after 0.096 kimg: the last checkpoint is good"
    ):
        small_run("max_kimg=1", "save_every_kimg=0.016", "callbacks.losses.every_kimg=0.016")
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert checkpoint["images_seen"] == 80, "the state before the bad step"
    assert len(read_metrics(tmp_path / "run" / "metrics.csv")) == 5
    assert "stopped: NonFiniteError" in (tmp_path / "run" / "report.html").read_text()


def test_budget_is_met_to_the_batch(small_run: Callable) -> None:
    folder, _ = small_run("max_kimg=0.1")
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["images_seen"] == 112
    with pytest.raises(ValueError, match="max_kimg must be positive"):
        ImageBudget(max_kimg=0)


@pytest.mark.parametrize(("best", "images_seen"), [("fd", 128), ("metric/precision_pixels_1438", 256)])
def test_best_checkpoint_follows_the_metric(
    best: str, images_seen: int, small_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest distance is the best, and the highest precision; the short name means the column that is logged."""
    values = iter([3.0, 1.0, 2.0, 5.0, 4.0])
    monkeypatch.setattr(
        "callbacks.generation_metrics.evaluate", lambda *sets: dict.fromkeys(sets[-1].metrics, next(values))
    )
    settings = ("callbacks.metrics.every_kimg=0.064", "callbacks.metrics.metrics=[fd,precision]")
    tested = ("callbacks.metrics.test_metrics=[fd]", f"callbacks.checkpoints.best={best}")
    folder, _ = small_run("max_kimg=0.32", *settings, *tested)
    rows = [row for row in read_metrics(folder / "metrics.csv") if "metric/fd_pixels_1438" in row]
    assert [row["best/fd_pixels_1438"] for row in rows] == [3, 1, 1, 1, 1]
    assert [row["best/precision_pixels_1438"] for row in rows] == [3, 3, 3, 5, 5]
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["images_seen"] == images_seen

    # Going on by another metric, or by the same of other samples, the best of before is no best: the first value counts.
    values = iter([0.0])
    monkeypatch.setattr(
        "callbacks.generation_metrics.evaluate", lambda *sets: dict.fromkeys(sets[-1].metrics, next(values))
    )
    change = {"fd": "callbacks.checkpoints.best=precision"}.get(best, "callbacks.metrics.labels=balanced")
    small_run("max_kimg=0.384", *settings, *tested, change, "resume=auto")
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt")["images_seen"] == 384


def test_a_size_that_a_method_cannot_draw_is_refused(small_run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning_modules.base import Draws
    from lightning_modules.poly_inr.module import PolyINR

    monkeypatch.setattr(PolyINR, "any_resolution", Draws.any_resolution)
    with pytest.raises(ValueError, match="PolyINR draws no image of 16 pixels, only its own size"):
        small_run("max_kimg=0.032", "callbacks.samples.image_sizes=[8,16]")


def test_a_bad_gradient_is_stopped_before_it_is_taken(
    small_run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Finite losses, an infinite gradient: neither the weights nor a checkpoint may see it."""
    from lightning_modules.poly_inr.module import PolyINR

    manual_backward = PolyINR.manual_backward

    def poisoned(self: Method, loss: torch.Tensor) -> None:
        manual_backward(self, loss)
        weight = self.generator.synthesis.to_image.weight
        if self.images_seen == 16 * 5 and weight.grad is not None and weight.requires_grad:
            weight.grad[0, 0] = float("inf")

    monkeypatch.setattr(PolyINR, "manual_backward", poisoned)
    with pytest.raises(
        NonFiniteError, match=r"the gradient of generator.synthesis.to_image.weight is not finite after 0.08"
    ):
        small_run("max_kimg=1", "save_every_kimg=0.016")
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert checkpoint["images_seen"] == 80
    assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["callbacks.checkpoints.best=metric/fd_pixel"],
            "best is 'metric/fd_pixel', which this run does not measure; did you mean 'fd_pixels_1438'? Measured are fd "
            "(metric/fd_pixels_1438), precision (metric/precision_pixels_1438)",
        ),
        (
            ["callbacks.checkpoints.best=metric/fd_pixels_1438", "++callbacks.metrics.num_images=500"],
            "did you mean 'fd_pixels_500'?",
        ),
        (["callbacks.checkpoints.best=fd", "callbacks.metrics.metrics=[]"], "measures nothing while it trains"),
        (["callbacks.checkpoints.best=accuracy", "method=classifier"], "measures nothing while it trains"),
    ],
)
def test_a_best_metric_that_is_not_measured_is_refused_before_the_first_step(
    settings: list[str], message: str, small_run: Callable
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        small_run("max_kimg=0.064", *settings)
    assert not Path("run").exists(), "the corrected command finds its folder free"
