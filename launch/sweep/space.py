"""The parameters of a W&B sweep file: which values each may take, and which one stands at a quantile."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from scipy.special import betaincinv, ndtri

from launch.errors import did_you_mean

# Quantile functions: where a share u of the distribution lies below.
QUANTILES: dict[str, Callable[[dict[str, Any], float], float]] = {
    "uniform": lambda spec, u: spec["min"] + u * (spec["max"] - spec["min"]),
    "log_uniform_values": lambda spec, u: spec["min"] * (spec["max"] / spec["min"]) ** u,
    "normal": lambda spec, u: spec["mu"] + spec["sigma"] * float(ndtri(u)),
    "log_normal": lambda spec, u: math.exp(spec["mu"] + spec["sigma"] * float(ndtri(u))),
    "beta": lambda spec, u: float(betaincinv(spec["a"], spec["b"], u)),
}
BOUNDS: dict[str, Any] = {"min": None, "max": None}  # None: must be given
BELL = {"mu": 0.0, "sigma": 1.0}
SHAPE = {"a": 1.0, "b": 1.0}
STEP = {"q": 1.0}
FORMS: dict[str, dict[str, Any]] = {
    "constant": {"value": None},
    "categorical": {"values": None},
    "categorical_w_probabilities": {"values": None, "probabilities": None},
    "int_uniform": BOUNDS,
    "uniform": BOUNDS,
    "q_uniform": BOUNDS | STEP,
    "log_uniform_values": BOUNDS,
    "q_log_uniform_values": BOUNDS | STEP,
    "normal": BELL,
    "q_normal": BELL | STEP,
    "log_normal": BELL,
    "q_log_normal": BELL | STEP,
    "beta": SHAPE,
    "q_beta": SHAPE | STEP,
}
# W&B's older forms: bounds that are exponents, and two that say the same as the one named here.
REPLACED = {
    "log_uniform": "log_uniform_values",
    "q_log_uniform": "q_log_uniform_values",
    "inv_log_uniform": "log_uniform_values",
    "inv_log_uniform_values": "log_uniform_values",
}
EDGE = 1e-6  # quantiles keep this far from 0 and 1, where a normal distribution has its infinities


def argument(name: str, value: Any) -> str:
    """As W&B's agent writes it for ``${args_no_hyphens}``, which is how train.py gets it from us too."""
    return f"{name}={value}"


@dataclass(frozen=True)
class Parameter:
    """A setting of train.py, by its dotted name, and the distribution of its values in a sweep."""

    name: str
    spec: dict[str, Any]  # complete: the distribution and everything that it needs

    @property
    def distribution(self) -> str:
        return str(self.spec["distribution"])

    @property
    def choices(self) -> list[Any] | None:
        """All values, each once, where they can be listed."""
        if self.distribution == "constant":
            return [self.spec["value"]]
        if self.distribution == "int_uniform":
            return list(range(self.spec["min"], self.spec["max"] + 1))
        if "values" in self.spec:
            return list({repr(value): value for value in self.spec["values"]}.values())
        return None

    def at(self, u: float) -> Any:
        """The value at the quantile ``u`` in [0, 1]."""
        u = min(max(u, EDGE), 1.0 - EDGE)
        if "probabilities" in self.spec:
            # The last sum may fall short of 1 by rounding.
            found = bisect_right(list(accumulate(self.spec["probabilities"])), u)
            return self.spec["values"][min(found, len(self.spec["values"]) - 1)]
        if self.choices is not None:
            return self.choices[int(u * len(self.choices))]
        value = QUANTILES[self.distribution.removeprefix("q_")](self.spec, u)
        if "q" in self.spec:
            return self.quantized(value)
        # Six digits make a command line that can be read; the bounds hold.
        return min(max(float(f"{value:.6g}"), self.spec.get("min", -math.inf)), self.spec.get("max", math.inf))

    def quantized(self, value: float) -> int | float:
        """The nearest multiple of q between the bounds; an integer where q is one."""
        q = self.spec["q"]
        least, most = self.multiples()
        multiple = min(max(round(value / q), least), most)
        return int(multiple * q) if isinstance(q, int) else round(multiple * q, 12)

    def multiples(self) -> tuple[float, float]:
        """Of q: the first and the last between the bounds."""
        q = self.spec["q"]
        low, high = self.spec.get("min", -math.inf), self.spec.get("max", math.inf)
        # The small part makes up for 0.3 / 0.1 being below 3.
        return (
            -math.inf if low == -math.inf else math.ceil(low / q - 1e-9),
            math.inf if high == math.inf else math.floor(high / q + 1e-9),
        )


def read_parameters(node: Any, prefix: str = "") -> Iterator[Parameter]:
    """The parameters of a file's ``parameters``; those of nested blocks under dotted names."""
    if not isinstance(node, dict) or not node:
        raise ValueError(f"{prefix}parameters must list the settings to search, got {node!r}")
    for key, spec in node.items():
        name = f"{prefix}{key}"
        if not isinstance(spec, dict):
            raise ValueError(
                f"parameter {name} must be a form such as {{value: ...}} or {{values: [...]}}, got {spec!r}"
            )
        if "parameters" in spec:
            yield from read_parameters(spec["parameters"], f"{name}.")
        else:
            yield Parameter(name, complete(name, spec))


def infer_distribution(name: str, spec: dict[str, Any]) -> str:
    """W&B's rules for a form that does not name its distribution."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    bounds = (spec.get("min"), spec.get("max"))
    if all(type(bound) is int for bound in bounds):
        return "int_uniform"
    if all(type(bound) is float for bound in bounds):
        return "uniform"
    raise ValueError(
        f"parameter {name} must have value, values, or min and max as two integers or two floats, got {spec!r}"
    )


def complete(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The form of a parameter with its distribution and defaults; ValueError says what is wrong with it."""
    distribution = given.get("distribution") or infer_distribution(name, given)
    if "probabilities" in given and distribution == "categorical":
        distribution = "categorical_w_probabilities"
    if distribution in REPLACED:
        raise ValueError(
            f"parameter {name}: write {REPLACED[distribution]}, whose bounds are values, for {distribution}"
        )
    if distribution not in FORMS:
        raise ValueError(f"parameter {name} has no distribution {distribution!r}{did_you_mean(distribution, FORMS)}")
    form = FORMS[distribution]
    for key in given.keys() - {"distribution", *form}:
        raise ValueError(f"parameter {name}: {distribution} takes no {key!r}{did_you_mean(key, form)}")
    spec = {**form, **given, "distribution": distribution}
    for key, value in form.items():
        if value is None and key not in given:
            raise ValueError(f"parameter {name}: {distribution} needs {key!r}")
    check_numbers(name, spec)
    values = [spec["value"]] if "value" in spec else spec.get("values", [])
    if "values" in spec and (not isinstance(values, list) or not values):
        raise ValueError(f"parameter {name}: values must be a list of at least one, got {values!r}")
    for value in values:
        check_value(name, value)
    if "probabilities" in spec:
        check_probabilities(name, spec)
    return spec


def check_numbers(name: str, spec: dict[str, Any]) -> None:
    distribution = spec["distribution"]
    for key in spec.keys() & {*BOUNDS, *BELL, *SHAPE, *STEP}:
        value = spec[key]
        kind = int if distribution == "int_uniform" else int | float
        if not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value):
            words = "an integer" if kind is int else "a finite number"
            hint = " (in YAML a power of ten needs a point: 1.0e-3)" if isinstance(value, str) else ""
            raise ValueError(f"parameter {name}: {key} must be {words}, got {value!r}{hint}")
        if key in ("q", "a", "b", "sigma") and value <= 0:
            raise ValueError(f"parameter {name}: {key} must be positive, got {value}")
    if "min" in spec and spec["min"] >= spec["max"]:
        raise ValueError(f"parameter {name}: min {spec['min']} must be below max {spec['max']}")
    if "log" in distribution and spec.get("min", 1) <= 0:
        raise ValueError(f"parameter {name}: min of {distribution} must be positive, got {spec['min']}")
    if "q" in spec:
        least, most = Parameter(name, spec).multiples()
        if least > most:
            raise ValueError(
                f"parameter {name}: no multiple of q = {spec['q']} lies between {spec['min']} and {spec['max']}"
            )


def check_probabilities(name: str, spec: dict[str, Any]) -> None:
    shares = spec["probabilities"]
    numbers = isinstance(shares, list) and all(type(share) in (int, float) and share >= 0 for share in shares)
    if not numbers or len(shares) != len(spec["values"]) or not math.isclose(sum(shares), 1.0, abs_tol=1e-8):
        raise ValueError(
            f"parameter {name}: probabilities must be {len(spec['values'])} shares, one a value, that sum to 1, got {shares!r}"
        )


def check_value(name: str, value: Any) -> None:
    """ValueError unless train.py reads ``name=value`` as the very value."""
    try:
        override = OverridesParser.create().parse_override(argument(name, value))
    except HydraException as error:
        raise ValueError(f"parameter {name} cannot be {value!r}: train.py has no way to read it") from error
    read = None if override.is_sweep_override() else override.value()
    # By type too: True is no 1. NaN is equal to nothing, itself included.
    if type(read) is not type(value) or read != value:
        seen = "several values" if override.is_sweep_override() else repr(read)
        remedy = ""
        if value is None:
            remedy = "; a sweep has no way to give null: leave it out of the values"
        elif isinstance(value, str) and not override.is_sweep_override():
            remedy = "; if that is meant, write it in the file without quotes"
        raise ValueError(f"parameter {name} cannot be {value!r}: train.py would read {seen}{remedy}")
