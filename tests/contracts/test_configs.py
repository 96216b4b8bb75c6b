"""Every configuration on disk composes and builds, and building touches neither disk nor network."""

from __future__ import annotations

import builtins
import re
import socket

import hydra
import pytest
import torch
from lightning.pytorch import Callback

from datamodules.base import ImageDataModule
from launch.build import LEFT_TO_DATA, build, check_trusted
from launch.compose import NO_EXPERIMENT, compose, group_options, plain
from launch.constructors import check_constructor_calls
from launch.evaluate.requests import request_of
from lightning_modules.base import Method

EXPERIMENTS = [name for name in group_options("experiment") if name != NO_EXPERIMENT]
METHODS = group_options("method")
DATAMODULES = group_options("datamodule")


def test_something_was_found() -> None:
    assert len(EXPERIMENTS) >= 2
    assert len(METHODS) >= 1
    assert len(DATAMODULES) >= 1


@pytest.fixture
def _nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"a constructor touched the outside: {args}")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_build_on_meta(experiment: str, request: pytest.FixtureRequest) -> None:
    """At their published sizes, without a byte of weights."""
    config = plain(compose("train", [f"experiment={experiment}", "run_dir=nowhere"]))
    check_constructor_calls(config)
    check_trusted(config)
    for key in LEFT_TO_DATA:
        if config["datamodule"].get(key, 0) is None:
            config["datamodule"][key] = 3  # train.py asks the prepared set
    request.getfixturevalue("_nothing_outside")
    with torch.device("meta"):
        datamodule, method = build(config)
    assert isinstance(datamodule, ImageDataModule)
    assert isinstance(method, Method)
    assert all(parameter.device.type == "meta" for parameter in method.parameters())
    assert config["experiment_name"] == experiment


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_open_with_their_header(experiment: str) -> None:
    """Table, command, hardware, what to expect: an experiment can be read alone."""
    from launch.compose import CONFIGS

    header = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text().split("\ndefaults:")[0]
    for word in ("paper's table", "Scaled down", f"experiment={experiment}", "Hardware"):
        assert word in header, f"{experiment} does not state: {word}"
    assert "override /experiment" not in header


@pytest.mark.parametrize("group", ["callbacks", "trainer", "logger"])
def test_groups_are_constructor_calls(group: str) -> None:
    for option in group_options(group):
        config = plain(compose("train", [f"{group}={option}", "run_dir=nowhere"]))
        check_constructor_calls(config)
        if group == "logger":
            assert "csv" in config["logger"], "the local table is always on"


def test_protocols_are_settings_of_evaluate() -> None:
    names = group_options("protocol")
    assert {"none", "fid_50k", "lite_5k"} <= set(names)
    defaults = plain(compose("evaluate"))
    for name in names:
        settings = plain(compose("evaluate", [f"protocol={name}"]))
        assert settings.keys() == defaults.keys(), f"{name} sets something that evaluate.py does not know"
        request_of(settings | {"checkpoint": "last.ckpt"})
        assert (settings == defaults) == (name == "none")


def test_a_misspelt_key_inside_a_yaml_names_itself() -> None:
    config = plain(compose("train", ["+method.r1_gama=1", "run_dir=nowhere"]))
    with pytest.raises(ValueError, match=r"no argument 'r1_gama'.*did you mean 'r1_gamma'"):
        check_constructor_calls(config)


def test_a_value_of_the_wrong_type_names_itself() -> None:
    config = plain(compose("train", ["method.r1_gamma=much", "run_dir=nowhere"]))
    with pytest.raises(ValueError, match=r"method.r1_gamma must be of type float, got 'much'"):
        check_constructor_calls(config)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method.generator_optimizer.lr=fast", "method.generator_optimizer.lr must be of type float, got 'fast'"),
        ("datamodule.batch_size=2.5", "datamodule.batch_size must be of type int, got 2.5"),
        ("method.conditional=1", "method.conditional must be of type bool, got 1"),
        ("+callbacks.metrics.num_images=many", "callbacks.metrics.num_images must be of type int or nothing"),
    ],
)
def test_types_are_checked_also_in_unions(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_constructor_calls(plain(compose("train", [override, "run_dir=nowhere"])))


@pytest.mark.parametrize("target", ["os.system", "lightning_modules.base.torch.os.system", "builtins.eval"])
def test_hostile_targets_are_refused(target: str) -> None:
    config = plain(compose("train", ["run_dir=nowhere"]))
    config["method"]["critic"]["_target_"] = target
    with pytest.raises(ValueError, match="no class of this project: refused"):
        check_trusted(config)


def test_callbacks_and_the_other_programs_build(request: pytest.FixtureRequest) -> None:
    config = plain(compose("train", ["experiment=none", "run_dir=nowhere"]))
    for name in ("evaluate", "generate"):
        assert "hydra" not in plain(compose(name))
    for call in config["callbacks"].values():  # once, so that the imports are done
        hydra.utils.get_object(call["_target_"])
    request.getfixturevalue("_nothing_outside")
    built = [hydra.utils.instantiate(call, _convert_="all") for call in config["callbacks"].values()]
    assert len(built) >= 8
    assert all(isinstance(callback, Callback) for callback in built)
