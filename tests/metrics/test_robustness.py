"""The mean corruption error in closed form."""

from __future__ import annotations

import pytest

from datamodules.corruptions import KINDS
from metrics.robustness import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    corruption_error,
    mean_corruption_error,
    relative_mce,
)

FIFTEEN = [name for names in KINDS.values() for name in names]


def constant(errors: dict[str, float]) -> dict[str, list[float]]:
    return {name: [error] * 5 for name, error in errors.items()}


def test_alexnet_measures_one_of_itself() -> None:
    assert list(ALEXNET_ERRORS) == FIFTEEN
    assert mean_corruption_error(constant(ALEXNET_ERRORS), ALEXNET_ERRORS) == pytest.approx(1, abs=1e-12)
    relative = relative_mce(constant(ALEXNET_ERRORS), ALEXNET_CLEAN_ERROR, ALEXNET_ERRORS, ALEXNET_CLEAN_ERROR)
    assert relative == pytest.approx(1, abs=1e-12)


def test_the_severities_are_added_before_the_division() -> None:
    """sum_s E / sum_s E', not the mean of the quotients."""
    reference = [0.1, 0.2, 0.3, 0.4, 0.5]
    errors = [0.5, 0.4, 0.3, 0.2, 0.1]
    assert corruption_error(errors, sum(reference) / 5) == pytest.approx(1)
    assert sum(a / b for a, b in zip(errors, reference, strict=True)) / 5 > 1.5


def test_the_mean_is_over_quotients_of_corruptions() -> None:
    """Half of AlexNet's error at one corruption and 0 at another: (1/2 + 0) / 2, whatever their sizes."""
    reference = {"fog": 0.8, "snow": 0.1}
    assert mean_corruption_error({"fog": [0.4] * 5, "snow": [0.0] * 5}, reference) == pytest.approx(0.25)


def test_relative_errors_leave_the_clean_one_out() -> None:
    """Of a classifier that corruption does not touch the relative mCE is 0 and the mCE is not."""
    untouched = constant(dict.fromkeys(FIFTEEN, 0.3))
    assert relative_mce(untouched, 0.3, ALEXNET_ERRORS, ALEXNET_CLEAN_ERROR) == pytest.approx(0)
    expected = sum(0.3 / error for error in ALEXNET_ERRORS.values()) / 15
    assert mean_corruption_error(untouched, ALEXNET_ERRORS) == pytest.approx(expected)
    assert relative_mce({"fog": [0.5] * 5}, 0.2, {"fog": 0.9}, 0.4) == pytest.approx(0.3 / 0.5)


def test_what_is_no_error_is_refused() -> None:
    with pytest.raises(ValueError, match="errors at 5 severities, got 4"):
        corruption_error([0.5] * 4, 0.8)
    with pytest.raises(ValueError, match=r"a share of the images, from 0 to 1, got 74\.97"):
        corruption_error([0.5, 0.5, 0.5, 0.5, 74.97], 0.8)
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        corruption_error([0.5] * 5, 0.0)
    with pytest.raises(ValueError, match="fog, snow are of one side only"):
        mean_corruption_error({"fog": [0.5] * 5}, {"snow": 0.5})
