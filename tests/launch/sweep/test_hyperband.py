"""Early termination against the example in W&B's own documentation of it."""

from __future__ import annotations

import pytest

from launch.sweep.hyperband import read_hyperband

# Of W&B's package `sweeps`: a and e are over; b falls at the first band, c at the second, d goes on.
HISTORIES = {"a": [10, 9], "b": [10, 10], "c": [10, 8, 8], "d": [10, 7, 7], "e": [10, 6, 6]}


def test_bands() -> None:
    assert read_hyperband({"type": "hyperband", "max_iter": 27, "s": 2}).bands == (3, 9)
    assert read_hyperband({"type": "hyperband", "max_iter": 5, "s": 2, "eta": 2}).bands == (1, 2)
    assert read_hyperband({"type": "hyperband", "min_iter": 2, "eta": 2}).bands[:4] == (2, 4, 8, 16)


def test_the_worse_end() -> None:
    hyperband = read_hyperband({"type": "hyperband", "max_iter": 5, "s": 2, "eta": 2})
    ending = {name for name, history in HISTORIES.items() if hyperband.ends(history, list(HISTORIES.values()))}
    assert ending == {"a", "b"}, "of five at row 2, those above the third best value 8"
    assert not hyperband.ends([], [[]]), "nothing measured, nothing ended"


def test_without_strict_a_good_past_counts() -> None:
    histories = [[1.0, 5.0], [2.0, 2.0], [2.0, 1.0]]
    strict, lenient = (
        read_hyperband({"type": "hyperband", "min_iter": 2, "eta": 3, "strict": strict}) for strict in (True, False)
    )
    assert strict.ends(histories[0], histories)
    assert not lenient.ends(histories[0], histories)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"type": "median"}, "early_terminate must be of type hyperband"),
        ({"type": "hyperband"}, "early_terminate needs min_iter, or max_iter and s"),
        ({"type": "hyperband", "min_iters": 3}, "has no setting 'min_iters'; did you mean 'min_iter'"),
        ({"type": "hyperband", "min_iter": 0}, "min_iter must be an integer of at least 1, got 0"),
        ({"type": "hyperband", "min_iter": 1, "eta": 1}, "eta must be a number above 1, got 1"),
        ({"type": "hyperband", "max_iter": 2, "s": 1}, "max_iter 2 is below eta 3: no row is left"),
    ],
)
def test_what_is_wrong_is_said(node: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_hyperband(node)
