"""Sweep files against train.py, before the first trial; and what W&B makes of the same files."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from launch.compose import CONFIGS, check_overrides, compose, group_options, plain
from launch.sweep.search import propose
from launch.sweep.server import registered_form, run_agent
from launch.sweep.space import argument
from launch.sweep.sweep_file import check_against_train, read_sweep
from tests.conftest import ROOT
from tests.launch.sweep.conftest import COMMAND

SweepFile = Callable[..., Path]
FILES = sorted((CONFIGS / "sweeps").rglob("*.yaml"))
FOR_THE_SERVER = [path for path in FILES if "@" not in path.read_text()]  # W&B has no name for a choice of a group
OPENING = COMMAND[:3]


def test_every_method_has_a_sweep() -> None:
    assert {path.parent.name for path in FILES} >= set(group_options("method"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_files_are_read_checked_and_open_with_their_question(path: Path) -> None:
    sweep = read_sweep(path)
    check_against_train(sweep)
    assert sweep.count_trials(None) > 1
    assert sweep.name == f"{path.parent.name}/{path.stem}"
    assert not any("logger" in text for text in sweep.arguments({})), "W&B is for its agent"
    header = path.read_text().split("\nprogram:")[0]
    assert "?" in header.splitlines()[0], "a question a file"
    for word in (f"python sweep.py configs/sweeps/{sweep.name}.yaml", "Hardware:"):
        assert word in header, f"{path.name} does not state: {word}"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Of W&B's package sweeps, which is not imported: it wants an older NumPy."""
    spec = importlib.util.find_spec("sweeps")
    if spec is None or spec.origin is None:
        pytest.skip("needs W&B's schema of sweep files: pip install --no-deps sweeps==0.3.0")
    found: dict[str, Any] = json.loads(Path(spec.origin).with_name("config").joinpath("schema.json").read_text())
    return found


@pytest.mark.parametrize("path", FOR_THE_SERVER, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_wandb_takes_the_files_as_they_are(path: Path, schema: dict[str, Any]) -> None:
    """By the schema of W&B's server, and what its client does before the upload."""
    from wandb.apis.public.sweeps import _validate_config_and_fill_distribution
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    content = load_sweep_config(str(path))
    jsonschema.Draft7Validator(schema).validate(content)
    assert content is not None
    _validate_config_and_fill_distribution(content)
    form = registered_form(read_sweep(path, with_wandb=True))
    jsonschema.Draft7Validator(schema).validate(form)
    assert form["command"].count("logger=wandb") == 1


def wandb_arguments(path: Path, values: dict[str, Any]) -> list[str]:
    """The command line that W&B's agent makes for a trial, after the program."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    made = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    found: list[str] = []
    for part in create_sweep_command(yaml.safe_load(path.read_text())["command"])[len(OPENING) :]:
        found += made[part[2:-1]] if part.startswith("${") else [part]
    return found


def test_a_choice_of_a_group_is_no_parameter_for_the_server() -> None:
    sweep = read_sweep(CONFIGS / "sweeps" / "priors" / "table_4_4.yaml")
    with pytest.raises(ValueError, match=r"W&B takes no parameter named prior@method.prior, .* without --wandb"):
        registered_form(sweep)


@pytest.mark.parametrize("path", FOR_THE_SERVER, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_agents_command_line_is_ours(path: Path) -> None:
    sweep = read_sweep(path)
    for number in range(3):
        _, values = propose(sweep, number, [], seed=0)
        theirs = wandb_arguments(path, values)
        check_overrides("train", theirs)
        assert [text for text in theirs if text != "logger=wandb"] == sweep.arguments(values)
        config = plain(compose("train", [*theirs, "run_dir=nowhere"]))
        for name, value in values.items():
            node: Any = config
            for part in name.split("."):
                node = node[part]
            assert node == value, "train.py reads what was proposed"


def test_wandbs_agent_drives_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's own code starts train.py, for a trial that a server would have sent it."""
    from wandb.wandb_agent import Agent

    path = CONFIGS / "sweeps" / "classifier" / "rates.yaml"
    sweep = read_sweep(path)
    _, values = propose(sweep, 0, [], seed=0)
    small = {"max_kimg": 0.128, "num_threads": 1, "run_dir": str(tmp_path / "run"), "logger": "csv"}
    command = yaml.safe_load(path.read_text())["command"]
    command = [part for part in command if part.split("=")[0] not in small]
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_RUN_ID", "")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "")
    agent = Agent(api=None, queue=None, sweep_id="test")
    agent._sweep_command = command
    arguments = {name: {"value": value} for name, value in (values | small).items()}
    agent._command_run({"type": "run", "run_id": "test", "program": "train.py", "args": arguments})
    (process,) = agent._run_processes.values()
    assert process.wait(timeout=240) == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["method"]["optimizer"]["lr"] == values["method.optimizer.lr"]
    assert config["method"]["optimizer"]["weight_decay"] == values["method.optimizer.weight_decay"]
    assert (tmp_path / "run" / "results.jsonl").exists()


def test_the_server_gets_dotted_names_and_an_agent_is_started(
    schema: dict[str, Any], sweep_file: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    sweep = read_sweep(
        sweep_file(parameters={"method": {"parameters": {"r1_gamma": {"values": [0.1, 1.0]}}}}, command=COMMAND),
        ["seed=3"],
        with_wandb=True,
    )
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(ValueError, match="--wandb needs the environment variable WANDB_API_KEY"):
        run_agent(sweep, num_trials=2)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.raises(ValueError, match=r"W&B's agent starts train.py of the current folder, and there is none"):
        run_agent(sweep, num_trials=2)
    monkeypatch.chdir(ROOT)
    calls: list[Any] = []
    monkeypatch.setattr(wandb, "sweep", lambda form, **where: calls.append((form, where)) or "abc123")
    monkeypatch.setattr(wandb, "agent", lambda number, count: calls.append((number, count)))
    run_agent(sweep, num_trials=2)
    (form, where), agent = calls
    jsonschema.Draft7Validator(schema).validate(form)
    assert form["parameters"] == {"method.r1_gamma": {"distribution": "categorical", "values": [0.1, 1.0]}}
    assert form["command"] == [*OPENING, "offset=0", "${args_no_hyphens}", "seed=3", "logger=wandb"]
    assert where == {"entity": None, "project": "polymorph"}
    assert agent == ("abc123", 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methd": "grid"}, "has 'methd', which sweep.py does not know; did you mean 'method'?"),
        ({"method": "baies"}, "method must be grid, random, bayes, got 'baies'; did you mean 'bayes'?"),
        ({"metric": None}, "metric must say what to optimise: {name: <column of metrics.csv>, goal: minimize}"),
        ({"metric": {"name": "a", "goal": "low"}}, "metric: goal must be minimize or maximize, got 'low'"),
        ({"metric": {"name": "a", "target": 1}}, "metric has no setting 'target' here: give name and goal"),
        (
            {"metric": {"name": "val/fid"}},
            "metric 'val/fid' is no column of metrics.csv, whose names begin with loss/, ",
        ),
        ({"metric": {"name": "fd"}}, "write its name as a run has it, such as best/fd_pixels_1438"),
        ({"parameters": {"x": {"values": [None, 1]}}}, "read 'None'; a sweep has no way to give null: leave it out"),
        (
            {"parameters": {"x": {"values": ["true"]}}},
            "read True; if that is meant, write it in the file without quotes",
        ),
        ({"program": "main.py"}, "program must be train.py, got 'main.py'"),
        ({"command": [*OPENING, "${args}"]}, "${args_no_hyphens}] and settings of train.py as key=value, got ["),
        ({"command": [*COMMAND, "--fast"]}, "settings of train.py as key=value, got '--fast'"),
        ({"command": [*COMMAND, "x=1"]}, "x is searched: it cannot be set for all trials as well"),
        ({"command": [*COMMAND, "run_dir=a"]}, "run_dir is set by the sweep, for each trial its own: leave it out"),
        ({"parameters": {"resume": {"value": "auto"}}}, "resume is set by the sweep"),
        ({"parameters": None}, "parameters must list the settings to search, got None"),
        ({"parameters": {"x": 3}}, "parameter x must be a form such as {value: ...} or {values: [...]}, got 3"),
        ({"run_cap": 0}, "run_cap must be an integer of at least 1, got 0"),
        (
            {"method": "grid", "parameters": {"x": {"min": 0.0, "max": 1.0}}},
            "parameter x: a grid has no uniform; list its values",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(sweep_file: SweepFile, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_sweep(sweep_file(**changes))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"method.generator_optimizer.lrr": {"values": [1.0]}},
            "there is no setting 'method.generator_optimizer.lrr'; did you mean 'method.generator_optimizer.lr'?",
        ),
        (
            {"method.generator.width": {"min": 8.0, "max": 64.0}},
            "method.generator.width must be of type int, got 31.196",
        ),
        (
            {"method.generator.width": {"values": [8, "wide"]}},
            "parameter method.generator.width = 'wide': method.generator.width must be of type int, got 'wide'",
        ),
        ({"method.loss": {"values": ["logistic", "hinges"]}}, "parameter method.loss = 'hinges': "),
        ({"datamodule": {"values": ["digits", "digitz"]}}, "there is no datamodule 'digitz'; did you mean 'digits'?"),
        ({"max_kimg": {"values": [1, 0]}}, "parameter max_kimg = 0: max_kimg must be finite and at least 0.001, got 0"),
        (
            {"method.average_ramp_up": {"value": 0.1}},
            "'method.average_ramp_up' is not in the configuration but its constructor has it: write +method.average_ramp_up",
        ),
    ],
)
def test_what_train_would_refuse_is_refused_before_it_starts(
    sweep_file: SweepFile, parameters: dict[str, Any], message: str
) -> None:
    command = [*OPENING, "experiment=poly_inr/digits", "${args_no_hyphens}"]
    sweep = read_sweep(sweep_file(parameters=parameters, command=command))
    with pytest.raises(ValueError, match=re.escape(message)):
        check_against_train(sweep)


def test_a_usual_file_without_command_runs_train_with_what_it_searches(
    sweep_file: SweepFile, schema: dict[str, Any]
) -> None:
    parameters = {
        "method.r1_gamma": {"values": [0.1, 1.0]},
        "method.generator_optimizer.lr": {"values": [0.001, 0.003]},
    }
    path = sweep_file(method="grid", parameters=parameters, command=None)
    sweep = read_sweep(path, ["max_kimg=2"])
    check_against_train(sweep)
    assert sweep.count_trials(None) == 4
    _, values = propose(sweep, 1, [], seed=0)
    assert sweep.arguments(values) == ["method.generator_optimizer.lr=0.001", "method.r1_gamma=1.0", "max_kimg=2"]
    form = registered_form(read_sweep(path, with_wandb=True))
    jsonschema.Draft7Validator(schema).validate(form)
    assert form["command"] == [*OPENING, "${args_no_hyphens}", "logger=wandb"], (
        "the agent's own would not be understood"
    )


def test_settings_for_all_trials_replace_those_of_the_file(sweep_file: SweepFile) -> None:
    command = [*OPENING, "max_kimg=4", "${args_no_hyphens}", "logger=wandb"]
    path = sweep_file(command=command)
    assert read_sweep(path).arguments({"x": 0.5}) == ["max_kimg=4", "x=0.5"]
    changed = read_sweep(path, ["max_kimg=2", "logger=tensorboard"])
    assert changed.arguments({"x": 0.5}) == ["x=0.5", "max_kimg=2", "logger=tensorboard"]
    with pytest.raises(ValueError, match="x is searched"):
        read_sweep(path, ["x=1"])
    assert argument("a", True) == "a=True"
    with pytest.raises(ValueError, match=r"there is no sweep file configs/sweeps/poly_inr/rate.yaml; did you mean"):
        read_sweep(Path("configs/sweeps/poly_inr/rate.yaml"))


def test_bad_input_of_the_program_is_one_line(
    sweep_file: SweepFile, program: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    parameters = {"method.critic.widht": {"values": [8, 16]}}
    path = sweep_file(method="grid", parameters=parameters, command=[*OPENING, "${args_no_hyphens}"])
    done = program("sweep.py", str(path))
    assert done.returncode == 2
    _, line = done.stderr.strip().splitlines()
    assert line.startswith("error: there is no setting 'method.critic.widht'; did you mean 'method.critic.width'?")
    assert not Path("runs").exists(), "nothing was started"
