"""The planted faults of tests/support/mutants.py: each can be planted, and its test is there; the soak tests run them."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.support.mutants import MUTANTS, Mutant, changed, main


def test_every_fault_can_be_planted_and_has_a_test() -> None:
    for mutant in MUTANTS:
        text = (ROOT / mutant.file).read_text()
        assert changed(text, mutant) != text
        file, name = mutant.test.split("[")[0].split("::")
        assert f"def {name}(" in (ROOT / file).read_text(), mutant.test
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_not_there_once_is_told() -> None:
    mutant = Mutant("doubled", "some.py", "a + b", "a - b", "tests/test_some.py::test_it")
    for times in (0, 2):
        with pytest.raises(ValueError, match=rf"doubled: 'a \+ b' stands {times} times in some\.py"):
            changed("a + b\n" * times, mutant)


@pytest.mark.soak
def test_every_fault_is_noticed() -> None:
    assert main() == 0
