"""Constructor calls in plain configurations, ``_target_`` and arguments: checked before anything is constructed.

:func:`check_constructor_calls` holds every call against the constructor that it names, :func:`check_call` also against
what may be constructed at all, for configurations of unknown origin.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import hydra

from generative.plain_data import SCALARS
from launch.errors import did_you_mean

TRUSTED_PACKAGES = ("lightning_modules.", "datamodules.", "generative.", "torch.optim.")
INSTANTIATE_KEYS = {"_target_", "_partial_"}  # of Hydra's own, those that a configuration may hold
HANDED_ON = "given"  # name of the **keywords that a constructor of ours hands on to the next class, and nowhere else


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


def check_call(call: dict[str, Any], path: str, kind: type | None) -> None:
    """ValueError unless ``call`` constructs a ``kind`` (None: nothing may be constructed here) of ours or of torch.optim."""
    name = call["_target_"]
    is_ours = isinstance(name, str) and name.startswith(TRUSTED_PACKAGES)
    found = find_target(name, path) if is_ours else None
    if not isinstance(found, type) or not f"{found.__module__}.".startswith(TRUSTED_PACKAGES):
        raise ValueError(f"the configuration at {path} calls {name!r}, which is no class of this project: refused")
    if kind is None:
        raise ValueError(f"the configuration at {path} calls {name!r}, where a value stands: refused")
    if not issubclass(found, kind):
        raise ValueError(f"the configuration at {path} calls {name!r}, which is no {kind.__name__}: refused")
    arguments = constructor_arguments(found)
    for key, value in call.items():
        if key not in INSTANTIATE_KEYS:
            check_argument(value, arguments[key].annotation if key in arguments else None, f"{path}.{key}")


def check_argument(value: Any, hint: Any, path: str) -> None:
    """ValueError for a call within ``value`` that an argument of type ``hint`` does not ask for."""
    if isinstance(value, dict) and "_target_" in value:
        check_call(value, path, constructed_kind(hint, is_partial=value.get("_partial_") is True))
    elif isinstance(value, dict):
        for key, item in value.items():
            check_argument(item, item_type(hint, dict), f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_argument(item, item_type(hint, list), f"{path}[{index}]")


def constructed_kind(hint: Any, *, is_partial: bool) -> type | None:
    """The class of the objects that an argument of type ``hint`` takes, or takes the makers of; None: it takes none."""
    for kind in alternatives(hint):
        if is_partial and typing.get_origin(kind) is Callable:
            kind = typing.get_args(kind)[-1]
        elif is_partial:
            continue
        if isinstance(kind, type) and kind is not Any and kind not in SCALARS and typing.get_origin(kind) is None:
            return kind
    return None


def item_type(hint: Any, container: type) -> Any:
    """``X`` of ``list[X]`` or ``dict[str, X]``; None where ``hint`` is no such container."""
    return next(
        (typing.get_args(kind)[-1] for kind in alternatives(hint) if typing.get_origin(kind) is container), None
    )
