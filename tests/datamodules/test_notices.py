"""The words in which a data module tells what it found."""

from __future__ import annotations

import pytest

from datamodules.notices import first_few, warn_once


def test_a_long_list_ends_with_a_sign() -> None:
    assert first_few([3, 1, 4, 1, 5]) == "3, 1, 4, 1, 5"
    assert first_few([3, 1, 4, 1, 5, 9]) == "3, 1, 4, 1, 5 ..."
    assert first_few(["a", "b"], most=1) == "a ..."


def test_both_splits_say_a_thing_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        warn_once("only once in this test")
    assert capsys.readouterr().err == "warning: only once in this test\n"
