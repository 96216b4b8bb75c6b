"""Hydra configurations: composed, explained where they do not compose, resolved to plain data."""

from __future__ import annotations

import re
import shlex
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from launch.constructors import constructor_arguments
from launch.errors import did_you_mean

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
NO_EXPERIMENT = "none"
OPTIONS = "+options."  # where generate.py keeps the settings of its tasks
TEXTS = {"run_dir", "checkpoint", "images", "reference", "save_statistics", "weights", "output", "cache"}  # paths
# Lightning's settings of what a run counts, which counts images here.
BUDGET = "a run ends after max_kimg=<thousands of images>"
NOT_LIGHTNINGS = {
    **dict.fromkeys(("max_epochs", "max_steps", "min_epochs", "min_steps", "max_time"), BUDGET),
    **dict.fromkeys(("limit_train_batches", "overfit_batches", "fast_dev_run"), BUDGET),
    "accumulate_grad_batches": "a batch is taken in parts by +method.accumulate=<parts>",
    **dict.fromkeys(
        ("gradient_clip_val", "gradient_clip_algorithm"), "gradients are limited by +method.clip_norm=<norm of all>"
    ),
}


def compose(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration as the command line would get it, for use from Python and in tests."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = hydra.compose(config_name, list(overrides), return_hydra_config=True)
        choices = config.hydra.runtime.choices
        with open_dict(config):
            del config["hydra"]
        return name_experiment(config, choices)


def name_experiment(config: DictConfig, choices: Mapping[str, Any]) -> DictConfig:
    """Set ``experiment_name`` from the configuration files chosen: that of the experiment, else of its parts."""
    if "experiment_name" in config and config.experiment_name is None:
        chosen = choices["experiment"]
        parts = f"{NO_EXPERIMENT}/{choices['method']}-{choices['datamodule']}"
        config.experiment_name = parts if chosen == NO_EXPERIMENT else chosen
    return config


def plain(config: DictConfig) -> dict[str, Any]:
    """All interpolations resolved, dictionaries with text as keys, lists and scalars only: what is saved and logged."""
    found = typing.cast(dict[Any, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    return {str(key): with_text_keys(value) for key, value in found.items()}


def with_text_keys(node: Any) -> Any:
    """Nested dictionaries and lists with numbers as keys turned into text, as JSON has them: ``{8: 30}`` is of class 8."""
    if isinstance(node, dict):
        return {str(key): with_text_keys(value) for key, value in node.items()}
    return [with_text_keys(item) for item in node] if isinstance(node, list) else node


def dotted_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """``a``, ``a.b``, ... for every key of nested dictionaries."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from dotted_keys(value, f"{prefix}{key}.")


def first_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """The first dotted key at which two plain configurations differ, with both values; None: they are the same."""
    for key in dict.fromkeys([*ours, *theirs]):
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            inner = first_difference(a, b)
            if inner is not None:
                return f"{key}.{inner[0]}", *inner[1:]
        elif a != b or (key in ours) != (key in theirs):
            return key, a, b
    return None


def group_options(group: str) -> list[str]:
    """Names of the files of a configuration group, such as ``poly_inr/digits`` of ``experiment``."""
    folder = CONFIGS / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def check_overrides(config_name: str, arguments: Sequence[str]) -> None:
    """Raise ValueError, naming the nearest valid name, where the command line does not compose.

    Hydra's own flags (``--help``, ``-m``) change what arguments mean: with one present nothing is checked here.
    """
    if any(argument.startswith("-") for argument in arguments):
        return
    for argument in arguments:
        if "=" not in argument and not argument.startswith("~"):
            raise ValueError(f"{argument!r} is not an override: write key=value")
        check_grammar(argument)
    try:
        compose(config_name, arguments)
    except HydraException as error:
        raise ValueError(explain(str(error), config_name, arguments)) from error


def check_grammar(argument: str, *, may_sweep: bool = False) -> None:
    """ValueError, with the line that works, where Hydra's grammar has another view of ``key=value``."""
    key, _, text = argument.partition("=")
    if not text:
        return
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        why = "holds characters that mean something to Hydra"
    else:
        if override.is_sweep_override():
            if may_sweep:
                return
            why = "are several values, which only train.py -m takes"
        elif key.lstrip("+") in TEXTS and not isinstance(override.value(), str | None):
            why = f"is read as {override.value()!r}"
        else:
            return
    is_list = text.startswith("[") and text.endswith("]") and key not in TEXTS
    wanted = "[" + ",".join(map(quoted, text[1:-1].split(","))) + "]" if is_list else quoted(text)
    key = key.removeprefix(OPTIONS)
    meant = "a list of texts" if is_list else "one text"
    raise ValueError(f"the value of {key} {why}: if it is {meant}, write {for_shell(f'{key}={wanted}')}")


def quoted(text: str) -> str:
    """``text`` for Hydra's grammar, in which spaces, commas, equals signs and other characters have a meaning."""
    # Backslashes mean something before a quotation mark only.
    return "'" + re.sub(r"(\\*)('|\Z)", lambda m: 2 * m[1] + (r"\'" if m[2] else ""), text) + "'"


def for_shell(text: str) -> str:
    """``text`` as one argument on a command line, in double quotes where a shell leaves all inside them alone."""
    return shlex.quote(text) if re.search(r'["$`!\n]|\\\\', text) else f'"{text}"'


def gather_options(config_name: str, arguments: Sequence[str]) -> list[str]:
    """Move settings that the configuration does not have itself under its ``options``: a task knows its own."""
    known = set(compose(config_name))
    moved = []
    for argument in arguments:
        key = argument.split("=")[0]
        own = argument.startswith(("-", "+", "~")) or "=" not in argument or key.split(".")[0] in {*known, "hydra"}
        moved.append(argument if own else f"{OPTIONS}{argument}")
    return moved


def explain(message: str, config_name: str, arguments: Sequence[str]) -> str:
    """One sentence for Hydra's error ``message``."""
    missing = re.search(r"[Cc]ould not find '([\w-]+)/([^']+)'", message)
    if missing:
        group, option = missing.groups()
        return f"there is no {group} {option!r}{did_you_mean(option, group_options(group))}"
    unknown = re.search(r"Could not override '([^']+)'", message)
    if unknown:
        key = unknown.group(1)
        if (own := NOT_LIGHTNINGS.get(key.rpartition(".")[2])) is not None:
            return f"{key!r} is Lightning's and not taken here: {own}"
        groups = [folder.name for folder in CONFIGS.iterdir() if folder.is_dir()]
        if key in groups and config_name == "train":
            return f"{key!r} is chosen by {' or '.join(f'{name}=<its file>' for name in names_of(key, config_name, arguments))}"
        # The keys there are depend on the groups chosen: compose again with those choices only.
        choices = [argument for argument in arguments if argument.split("=")[0] in {*groups} - {key}]
        config = compose(config_name, choices)
        if takes_argument(config, key):
            return f"{key!r} is not in the configuration but its constructor has it: write +{key}=<value>"
        keys = [
            name for name in dotted_keys(OmegaConf.to_container(config)) if not name.rpartition(".")[2].startswith("_")
        ]
        return f"there is no setting {key!r}{did_you_mean(key, [*groups, *keys])}"
    return (message or "the configuration cannot be read").splitlines()[0]


def names_of(group: str, config_name: str, arguments: Sequence[str]) -> list[str]:
    """What a choice of ``group`` is written as: ``prior@method.prior`` where another file puts it, else ``+loss``."""
    others = [argument for argument in arguments if argument.partition("=")[0] != group]
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        choices = hydra.compose(config_name, others, return_hydra_config=True).hydra.runtime.choices
    return [name for name in choices if name.startswith(f"{group}@")] or [f"+{group}"]


def takes_argument(config: DictConfig, key: str) -> bool:
    """Whether the dotted ``key`` names an argument, left at its default, of a constructor call in ``config``."""
    place, _, argument = key.rpartition(".")
    node = OmegaConf.select(config, place) if place else None
    if not isinstance(node, DictConfig) or "_target_" not in node:
        return False
    return argument in constructor_arguments(hydra.utils.get_object(node["_target_"]))


def check_budgets(trainer: Mapping[str, Any]) -> None:
    """ValueError for a setting of Lightning's trainer that one of ours stands for."""
    for key, own in NOT_LIGHTNINGS.items():
        if trainer.get(key) not in (None, -1):  # -1: our trainers' max_epochs, no end
            raise ValueError(f"'trainer.{key}' is Lightning's and not taken here: {own}")
