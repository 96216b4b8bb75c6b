"""Parameters of sweep files: W&B's forms, their values, one sentence for what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from launch.sweep.space import Parameter, read_parameters

PLACES = np.linspace(0.05, 0.95, 7)


def one(form: dict[str, Any]) -> Parameter:
    (parameter,) = read_parameters({"seed": form})
    return parameter


@pytest.mark.parametrize(
    ("form", "reference"),
    [
        ({"min": 1.0, "max": 3.0}, scipy.stats.uniform(1, 2)),
        ({"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}, scipy.stats.loguniform(1e-4, 0.1)),
        ({"distribution": "normal", "mu": 2.0, "sigma": 3.0}, scipy.stats.norm(2, 3)),
        ({"distribution": "normal"}, scipy.stats.norm()),
        ({"distribution": "log_normal", "mu": 1.0, "sigma": 0.5}, scipy.stats.lognorm(0.5, scale=np.exp(1))),
        ({"distribution": "beta", "a": 2.0, "b": 5.0}, scipy.stats.beta(2, 5)),
    ],
)
def test_quantiles_are_those_of_the_distribution(form: dict[str, Any], reference: Any) -> None:
    parameter = one(form)
    assert [parameter.at(u) for u in PLACES] == pytest.approx(reference.ppf(PLACES), rel=1e-5)


def test_quantized_forms_are_multiples_between_the_bounds() -> None:
    values = {one({"distribution": "q_uniform", "min": 3, "max": 50, "q": 8}).at(u) for u in np.linspace(0, 1, 200)}
    assert values == {8, 16, 24, 32, 40, 48}, "neither 0 nor 56"
    assert all(type(value) is int for value in values), "an integer q gives integers, as train.py wants them"
    assert one({"distribution": "q_uniform", "min": 0.1, "max": 0.5, "q": 0.1}).at(0.5) == 0.3
    assert one({"distribution": "q_log_uniform_values", "min": 1, "max": 64, "q": 1}).at(1.0) == 64
    assert one({"distribution": "q_normal", "sigma": 4.0, "q": 2}).at(0.5) == 0


def test_lists_and_constants() -> None:
    assert one({"value": 3}).choices == [3]
    assert one({"values": [1, 2, 2, True]}).choices == [1, 2, True], "each once; True is no 1"
    assert one({"min": 2, "max": 4}).choices == [2, 3, 4], "two integers: int_uniform, bounds included"
    weighted = one({"values": ["a", "b"], "probabilities": [0.9, 0.1]})
    assert [weighted.at(u) for u in (0.0, 0.89, 0.91, 1.0)] == ["a", "a", "b", "b"]
    assert one({"distribution": "normal"}).at(1.0) < 10, "no infinity at the edge"


def test_nested_blocks_have_dotted_names() -> None:
    nested = {
        "method": {"parameters": {"critic": {"parameters": {"width": {"values": [8, 16]}}}}},
        "seed": {"value": 1},
    }
    assert [parameter.name for parameter in read_parameters(nested)] == ["method.critic.width", "seed"]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            {"distribution": "log_unifrom_values", "min": 1.0, "max": 2.0},
            "parameter seed has no distribution 'log_unifrom_values'; did you mean 'log_uniform_values'?",
        ),
        (
            {"distribution": "log_uniform", "min": -3, "max": 0},
            "parameter seed: write log_uniform_values, whose bounds are values, for log_uniform",
        ),
        (
            {"min": 0, "max": 1.5},
            "parameter seed must have value, values, or min and max as two integers or two floats, "
            "got {'min': 0, 'max': 1.5}",
        ),
        ({"min": 2.0, "max": 1.0}, "parameter seed: min 2.0 must be below max 1.0"),
        (
            {"distribution": "uniform", "min": "1e-4", "max": 1.0},
            "parameter seed: min must be a finite number, got '1e-4' (in YAML a power of ten needs a point: 1.0e-3)",
        ),
        (
            {"distribution": "log_uniform_values", "min": 0, "max": 1},
            "parameter seed: min of log_uniform_values must be positive, got 0",
        ),
        (
            {"distribution": "q_uniform", "min": 1, "max": 7, "q": 8},
            "parameter seed: no multiple of q = 8 lies between 1 and 7",
        ),
        ({"distribution": "uniform", "min": 1.0}, "parameter seed: uniform needs 'max'"),
        ({"values": [1], "vlaues": [2]}, "parameter seed: categorical takes no 'vlaues'; did you mean 'values'?"),
        ({"values": []}, "parameter seed: values must be a list of at least one, got []"),
        (
            {"values": [1, 2], "probabilities": [0.5, 0.6]},
            "parameter seed: probabilities must be 2 shares, one a value, that sum to 1, got [0.5, 0.6]",
        ),
        (
            {"value": None},
            "parameter seed cannot be None: train.py would read 'None'; a sweep has no way to give null: leave it out of the "
            "values",
        ),
        (
            {"values": ["1e-3"]},
            "parameter seed cannot be '1e-3': train.py would read 0.001; if that is meant, write it in the file without quotes",
        ),
        ({"values": ["a,b"]}, "parameter seed cannot be 'a,b': train.py would read several values"),
        ({"value": {"a": 1}}, "parameter seed cannot be {'a': 1}: train.py has no way to read it"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(form: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared as a whole
        one(form)
    assert str(caught.value) == message
