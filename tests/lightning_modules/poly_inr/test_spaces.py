"""The spaces of a Poly-INR, and the values that searches in them had before the search was shared."""

from __future__ import annotations

import json

import pytest
import torch

from lightning_modules.poly_inr.module import PolyINR
from tests.golden.inversion import FILE, KINDS, found_by


def test_the_spaces_are_one_image(method: PolyINR) -> None:
    z = method.latents(0, 3, seed=0)
    labels = torch.arange(3) if method.num_classes else None
    expected = method.decode(z, labels)
    for name in ("z", "w", "affine"):
        space = method.space(name, labels, samples=z)
        torch.testing.assert_close(space.draw(space.at(z)), expected)


def test_a_unit_is_the_spread_of_samples(method: PolyINR) -> None:
    samples, labels = method.latents(0, 20, seed=1), method.balanced_labels(0, 20)
    affine = method.averaged_generator.affine(samples, labels)
    assert method.space("z", samples=samples).units()["z"] == samples.std()
    units = method.space("affine", samples=samples).units()["affine"]
    assert units.shape == (1, affine.shape[1], 3, 1)
    assert units[0, 2, 1, 0] == pytest.approx(float(affine[:, 2, 1].std()))


@pytest.mark.parametrize("kind", KINDS)
def test_searches_and_tuning_give_the_golden_values(kind: str) -> None:
    golden = json.loads(FILE.read_text())["found"][kind]
    found = found_by(kind)
    assert found.keys() == golden.keys()
    assert found.pop("best_classes", None) == golden.pop("best_classes", None)
    for name, values in found.items():
        for quantity, numbers in values.items():
            actual, expected = (torch.tensor(x, dtype=torch.float64) for x in (numbers, golden[name][quantity]))
            torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12, msg=f"{name}, {quantity}")
