"""What the ledger says of densities on bins is what is computed."""

from __future__ import annotations

import numpy as np
import pytest

from docs.ledger.densities import DENSITIES, evaluated, measured, side_lobes
from docs.ledger.results import selected
from generative.priors.nonparametric import NonParametric
from generative.priors.solver import bump


def test_the_densities_of_table_4_1_are_those_on_file() -> None:
    computed = list(evaluated())
    assert len(computed) == 5
    for line in computed:
        name = {key: line.pop(key) for key in ("density", "bins")}
        (kept,) = selected(DENSITIES, name)
        assert line == pytest.approx({key: kept[key] for key in line}, rel=1e-9)
    assert computed[2]["paper_kl"] == pytest.approx(0.5 * (1.0 - np.log(2.0)), abs=1e-6), (
        "the closed form of a normal law"
    )


def test_an_optimum_on_file_is_what_the_solver_finds() -> None:
    (kept,) = selected(DENSITIES, {"asked": "objective", "objective": "paper"})
    found = measured(NonParametric(objective="paper", xi=0.75).density)
    assert found["paper_kl"] == pytest.approx(kept["paper_kl"], abs=1e-8)
    assert found["side_lobes"] == kept["side_lobes"] == 5, (
        "at 511.5, and at its half, fourth, eighth and sixteenth part"
    )
    assert found["asymmetry"] == 0.0


def test_side_lobes_are_counted_on_one_side_and_must_stand_out() -> None:
    density = bump(1024, 0.0, 0.04)
    assert side_lobes(density) == 0
    for place in (512 + 200, 512 + 300, 1023):
        density[place] = 1e-3
    assert side_lobes(density) == 3
    density[512 + 300] = 0.9e-4
    assert side_lobes(density) == 2
    density[512 - 300] = 1e-3
    assert side_lobes(density) == 2
    assert measured(density)["asymmetry"] > 1e-3
