"""Hydra configurations: composed, checked against the constructors they call, resolved to plain data."""

from __future__ import annotations

import inspect
import re
import shlex
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

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
INSTANTIATE_KEYS = {"_target_", "_partial_"}  # of Hydra's own, those that a configuration may hold
HANDED_ON = "given"  # name of the **keywords that a constructor of ours hands on to the next class, and nowhere else


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
    """All interpolations resolved, dictionaries, lists and scalars only: what is saved and logged."""
    return typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))


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
        # The keys there are depend on the groups chosen: compose again with those choices only.
        choices = [argument for argument in arguments if argument.split("=")[0] in groups]
        config = compose(config_name, choices)
        if takes_argument(config, key):
            return f"{key!r} is not in the configuration but its constructor has it: write +{key}=<value>"
        keys = [
            name for name in dotted_keys(OmegaConf.to_container(config)) if not name.rpartition(".")[2].startswith("_")
        ]
        return f"there is no setting {key!r}{did_you_mean(key, [*groups, *keys])}"
    return (message or "the configuration cannot be read").splitlines()[0]


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


def constructor_calls(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dictionary with a ``_target_`` below ``node``, in lists too, and its dotted place."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from constructor_calls(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from constructor_calls(value, f"{path}[{index}]")


def find_target(name: str, path: str) -> Any:
    """The object that a ``_target_`` names; ValueError where it is not there."""
    try:
        return hydra.utils.get_object(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} calls {name!r}, which cannot be found: {error}") from error


def alternatives(hint: Any) -> list[Any]:
    """The types of a union; of any other annotation itself alone."""
    is_union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return list(typing.get_args(hint)) if is_union else [hint]


def constructor_arguments(target: Any) -> dict[str, inspect.Parameter]:
    """The arguments of a class's constructor, or of a function, by name, with their annotations evaluated.

    A constructor that ends in ``**given`` hands what it does not name to the constructor of the next class. So the
    arguments of that one follow its own, without those that the class states by itself: its ``stated_arguments``.
    """
    if not inspect.isclass(target):
        return signature(target)
    found: dict[str, inspect.Parameter] = {}
    stated: set[str] = set()
    for kind in target.__mro__[:-1]:  # object takes none
        if "__init__" not in vars(kind):
            continue
        own = signature(vars(kind)["__init__"])
        own.pop("self", None)
        is_handed_on = own.pop(HANDED_ON, None) is not None
        found = {name: parameter for name, parameter in own.items() if name not in stated} | found
        stated |= set(vars(kind).get("stated_arguments", ()))
        if not is_handed_on:
            break
    return found


def signature(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Its parameters by name, of type Any where no annotation says more."""
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except NameError:  # a library that imports its types for type checkers only
        parameters = inspect.signature(function).parameters
        return {name: parameter.replace(annotation=Any) for name, parameter in parameters.items()}
    return {
        name: parameter.replace(annotation=Any) if parameter.annotation is parameter.empty else parameter
        for name, parameter in parameters.items()
    }


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain ``value`` may stand where ``hint`` is asked for. Annotations of other kinds take what is no call."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, kind) for kind in inner)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    if origin is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, inner[1]) for item in value.values())
    if origin is Callable:  # which a configuration names
        return isinstance(value, dict) and "_target_" in value
    return True


def type_in_words(hint: Any) -> str:
    if typing.get_origin(hint) is Callable:
        return f"a constructor call (_target_) of {getattr(typing.get_args(hint)[-1], '__name__', 'an object')}"
    return "nothing (null)" if hint is type(None) else getattr(hint, "__name__", str(hint))


def check_type(name: str, value: Any, hint: Any) -> None:
    """ValueError unless ``value`` fits an annotation made of int, float, bool, str, None, lists and constructors; others pass."""
    # Some constructors take a number or a tensor; a configuration holds no tensors.
    kinds = [kind for kind in alternatives(hint) if getattr(kind, "__name__", "") != "Tensor"]
    if not any(fits(value, kind) for kind in kinds):
        raise ValueError(f"{name} must be of type {' or '.join(map(type_in_words, kinds))}, got {value!r}")


def check_constructor_calls(config: dict[str, Any]) -> None:
    """ValueError for an argument that its constructor does not have, or of another type than int, float, bool, str."""
    for path, call in constructor_calls(config):
        target = find_target(call["_target_"], path)
        arguments = constructor_arguments(target)
        takes_any = any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values())
        for key in call.keys() - INSTANTIATE_KEYS:
            if key in arguments:
                check_type(f"{path}.{key}", call[key], arguments[key].annotation)
            elif not takes_any:
                raise ValueError(
                    f"{call['_target_']} has no argument {key!r} ({path}.{key}){did_you_mean(key, arguments)}"
                )
