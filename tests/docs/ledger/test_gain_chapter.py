"""Tables of the chapter on defects: the printed numbers, and ours beside them."""

from __future__ import annotations

from fractions import Fraction

from docs.ledger.gain_chapter import PRINTED, mean_of, section
from tests.docs.ledger.test_gain import HIGH, LOW, MIDDLE, cell, cells


def test_which_printed_means_can_be_means_of_three_runs() -> None:
    """Of 94 test patches a mean of three runs is a multiple of 1/282, of 100 one of 1/300: the card says which are."""

    def possible(value: float, patches: int, within: float) -> bool:
        nearest = Fraction(round(value / 100 * 3 * patches), 3 * patches)
        return abs(float(nearest) * 100 - value) <= within

    means = {name: [mean_of(words) for row in table.values() for words in row] for name, table in PRINTED.items()}
    assert [value for value in means["foreign_material"] if possible(value, 94, 0.005)] == [95.74]
    assert [value for value in means["foreign_material"] if possible(value, 94, 0.01)] == [81.92, 95.74]
    assert not [value for value in means["epoxy"] if possible(value, 100, 0.005)]


def test_ours_stand_beside_the_printed_ones() -> None:
    arms = (("real", 20, LOW), ("rendered", 20, HIGH), ("real", 115, MIDDLE), ("rendered_only", 115, HIGH))
    found = cells(*(cell(arm, number, seed, named) for seed in range(5) for arm, number, named in arms))
    text = "\n".join(section("foreign_material", found))
    assert "| 20 | 81.92 ± 1.07 | 66.7 ± 0.0 | 89.82 ± 1.36 | 100.0 ± 0.0 | +7.9 | +33.3 points" in text
    assert "| 40 | 88.39 ± 2.86 | - | 96.29 ± 0.39 | - | +7.9 | - |" in text
    assert "| drawn alone, matched | 82.87 | 100.0 ± 0.0 |" in text
    assert "| real | 95.74 | 83.3 ± 0.0 |" in text
    assert not list(section("deeppcb", found))
