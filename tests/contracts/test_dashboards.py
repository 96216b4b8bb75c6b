"""What every method logs: the same kinds of names, to every logger."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from launch.compose import group_options
from lightning_modules.base import Draws, Method
from records.run_files import CLOCK, read_metrics

PREFIXES = {"loss", "penalty", "score", "metric", "best", "throughput"}
EVERY_ROW = ("losses", "throughput", "metrics", "reconstructions", "samples")


def check_names(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names - {CLOCK}} <= PREFIXES
    assert any(name.startswith("loss/") for name in names), "a method logs what it minimises"
    of = {prefix: {name.partition("/")[2] for name in names if name.startswith(f"{prefix}/")} for prefix in PREFIXES}
    assert {"images_per_second", "train_seconds", "peak_memory_mb"} <= of["throughput"]
    assert of["metric"], "how good it is, is logged"
    assert of["metric"] == of["best"]


@pytest.mark.parametrize("name", group_options("method"))
def test_names_are_of_the_fixed_kinds_and_the_same_for_every_logger(
    name: str, small_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Method] = []
    count_images = Method.count_images
    monkeypatch.setattr(Method, "count_images", lambda self, images: (built.append(self), count_images(self, images)))
    folder, metrics = small_run(
        f"method={name}",
        "max_kimg=0.032",
        "logger=tensorboard",
        *(f"callbacks.{c}.every_kimg=0.016" for c in EVERY_ROW),
    )
    rows = read_metrics(folder / "metrics.csv")
    assert [row[CLOCK] for row in rows] == [0.016, 0.032], "a row for each clock value, no more"
    names = {column for row in rows for column in row}
    check_names(names)
    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert set(board.Tags()["scalars"]) == names
    for column in names:
        shown = {event.step: event.value for event in board.Scalars(column)}
        logged = {round(1000 * row[CLOCK]): row[column] for row in rows if column in row}
        assert shown == pytest.approx(logged, rel=1e-6), "TensorBoard keeps float32"
    is_generator = isinstance(built[0], Draws)
    assert bool(board.Tags()["images"]) == is_generator
    if is_generator:
        (tag,) = board.Tags()["images"]
        assert tag == f"samples/{built[0].image_shape[1]}px"
        assert [event.step for event in board.Images(tag)] == [0, 16, 32]
    assert {name for name in names if name.startswith("metric/")} <= metrics.keys(), (
        "what was measured is told at the end"
    )


@pytest.mark.parametrize("odd", [{"learning_rate"}, {"val/fd"}, {"metric/fd_inception_10"}])
def test_an_odd_name_is_found(odd: set[str]) -> None:
    throughput = {f"throughput/{name}" for name in ("images_per_second", "train_seconds", "peak_memory_mb")}
    good = {CLOCK, "loss/critic", "metric/fd", "best/fd", *throughput}
    check_names(good)
    with pytest.raises(AssertionError):
        check_names(good | odd)
