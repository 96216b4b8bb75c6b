"""Requests: which mode the settings of evaluate.py choose, and that nothing beyond them sees the plain settings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from launch.compose import compose, plain
from launch.evaluate.requests import (
    CheckpointRequest,
    ComparisonRequest,
    CorruptionsRequest,
    ImagesRequest,
    StatisticsRequest,
    request_of,
    settings_in,
    settings_of,
)
from tests.conftest import ROOT
from tests.test_evaluate import evaluated


def asked(*overrides: str) -> dict[str, Any]:
    return plain(compose("evaluate", list(overrides)))


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        (["checkpoint=a.ckpt"], CheckpointRequest),
        (["checkpoint=a.ckpt", "corruptions=all", "num_threads=2"], CorruptionsRequest),
        (["images=a", "reference=b", "num_neighbours=5"], ImagesRequest),
        (["images=a", "save_statistics=a.npz"], StatisticsRequest),
        (["compare=[a,b]"], ComparisonRequest),
    ],
)
def test_the_settings_choose_the_mode(overrides: list[str], kind: type) -> None:
    settings = asked(*overrides)
    request = request_of(settings)
    assert type(request) is kind
    assert settings_in(request) == {name: settings[name] for name in settings_of(kind)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.what = "another"  # type: ignore[misc]


def test_every_setting_is_read_by_a_mode() -> None:
    kinds = (CheckpointRequest, CorruptionsRequest, ImagesRequest, StatisticsRequest, ComparisonRequest)
    assert set().union(*(settings_of(kind) for kind in kinds)) == asked().keys()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["checkpoint=a.ckpt", "save_statistics=a.npz"], "save_statistics= has no effect on a checkpoint: leave it out"),
        (["checkpoint=a.ckpt", "+sedd=2"], "sedd= has no effect on a checkpoint: leave it out"),
        (["images=a", "corruptions=all"], "corruptions= has no effect on a set of images: leave it out"),
        (["images=a", "save_statistics=a.npz", "subset_size=9"], "subset_size= has no effect on saving statistics"),
        (["compare=[a,b]", "seed=2"], "seed= has no effect on a comparison: leave it out"),
        (["checkpoint=a.ckpt", "corruptions=all", "cache=null"], "cache= has no effect on the corruptions of ImageNet-C"),
        (["checkpoint=a.ckpt", "seed=-1"], "seed must be an integer of at least 0, got -1"),
        (["images=a", "subset_size=1"], "subset_size must be an integer of at least 2, got 1"),
        (["images=a", "batch_size=true"], "batch_size must be an integer of at least 1, got True"),
    ],
)  # fmt: skip
def test_what_a_mode_does_not_read_or_take_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        request_of(asked(*overrides))


def test_the_plain_settings_go_no_further_than_the_requests(small_run: Callable) -> None:
    """Functions of the project that get them as an argument, in an evaluation from the command line to the record."""
    folder, _ = small_run("max_kimg=0.016")
    names, met = asked().keys(), set()

    def watch(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT) and ".venv" not in path.parts:
            arguments = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
            given = [frame.f_locals[name] for name in arguments if name in frame.f_locals]
            if any(isinstance(value, dict) and value.keys() >= names for value in given):
                met.add(f"{path.relative_to(ROOT)}:{frame.f_code.co_name}")

    sys.setprofile(watch)
    try:
        evaluated(f"checkpoint={folder}/checkpoints/last.ckpt", "metrics=[fd]", "num_images=20")
    finally:
        sys.setprofile(None)
    assert "launch/evaluate/requests.py:request_of" in met
    assert {place.partition(":")[0] for place in met} == {"launch/evaluate/requests.py"}
    assert len(met) <= 6
