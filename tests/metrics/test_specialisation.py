"""What places tell about codes: closed forms, and shuffled maps as the control."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from metrics.specialisation import control, shuffled, specialisation


def shares(*shape: int, spread: float) -> Tensor:
    """Of codes whose amounts have nothing to do with each other: [*shape, N, P]."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (spread * noise).softmax(dim=-2)


def orders(*shape: int) -> Tensor:
    """Of places: [..., N, P]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)).argsort(dim=-1)


def test_codes_that_draw_equally_everywhere_tell_nothing() -> None:
    found = specialisation(torch.full((2, 5, 12), 0.2))
    torch.testing.assert_close(found.information, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
    assert found.at_places.tolist() == pytest.approx([math.log(5)] * 2, abs=1e-7)


def test_codes_that_draw_the_same_share_everywhere_tell_nothing() -> None:
    """Also where one draws more than another, and more in some places than in others."""
    of_codes, of_places = torch.tensor([0.7, 0.2, 0.1]), torch.rand(9, generator=torch.Generator().manual_seed(0)) + 0.1
    amounts = of_codes.double()[:, None] * of_places.double()
    found = specialisation(amounts)
    entropy = -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))
    assert float(found.information) == pytest.approx(0.0, abs=1e-9)
    assert float(found.of_mean) == pytest.approx(entropy, abs=1e-7)


@pytest.mark.parametrize("num_codes", [2, 5])
def test_disjoint_regions_tell_all(num_codes: int) -> None:
    regions = torch.eye(num_codes, dtype=torch.float64).repeat_interleave(4, dim=1)
    found = specialisation(regions)
    assert float(found.at_places) == 0.0
    assert float(found.information) == pytest.approx(math.log(num_codes), abs=1e-9)
    unequal = specialisation(torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
    assert float(unequal.information) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), abs=1e-9)


def test_information_is_that_of_the_table_of_codes_and_places() -> None:
    """The divergence of the joint law of code and place, places as likely as each other, from the product of its margins."""
    given = shares(3, 4, 10, spread=2.0)
    joint = given / 10
    margins = joint.sum(dim=2, keepdim=True) * joint.sum(dim=1, keepdim=True)
    expected = (joint * (joint / margins).log()).sum(dim=(1, 2))
    torch.testing.assert_close(specialisation(given).information, expected, rtol=0, atol=1e-9)


def test_a_place_where_nothing_is_drawn_does_not_count() -> None:
    with_gap = torch.cat([shares(4, 10, spread=1.0), torch.zeros(4, 3, dtype=torch.float64)], dim=1)
    found, expected = specialisation(with_gap), specialisation(with_gap[:, :10])
    torch.testing.assert_close(found.of_mean, expected.of_mean, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.at_places, expected.at_places, rtol=0, atol=1e-9)
    assert float(specialisation(torch.zeros(4, 3)).information) == 0.0


def test_shuffled_maps_are_the_same_maps_in_other_places() -> None:
    given, by = torch.arange(1.0, 25.0).view(3, 8), orders(5, 3, 8)
    places = given.expand(5, -1, -1).gather(2, by)
    assert torch.equal(places.sort(dim=2).values, given.expand(5, -1, -1))
    torch.testing.assert_close(shuffled(given, by), places / places.sum(dim=1, keepdim=True))
    torch.testing.assert_close(shuffled(shuffled(given, by), by)[2], shuffled(shuffled(given, by)[2], by[2:3])[0])


@pytest.mark.parametrize("num_codes", [2, 10])
def test_maps_without_relation_tell_more_than_shuffled_and_as_much_as_is_expected(num_codes: int) -> None:
    given = shares(num_codes, 4000, spread=0.1)
    own, found = float(specialisation(given).information), control(given, orders(2, 3, num_codes, 4000))
    assert float(found.shuffled.mean()) / own == pytest.approx(1 - 1 / num_codes, rel=0.03)
    assert found.unrelated / own == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("num_codes", [2, 4])
def test_codes_with_regions_tell_more_than_is_expected(num_codes: int) -> None:
    regions = torch.eye(num_codes, dtype=torch.float64).repeat_interleave(64, dim=1)
    found = control(regions, orders(2, 20, num_codes, 64 * num_codes))
    assert found.unrelated < 0.85 * math.log(num_codes)
    assert float(found.shuffled.max()) < 0.85 * math.log(num_codes)


def test_flat_maps_tell_nothing_in_any_order() -> None:
    found = control(torch.full((4, 9), 0.25), orders(2, 3, 4, 9))
    assert found.unrelated == pytest.approx(0.0, abs=1e-9)
    torch.testing.assert_close(found.shuffled, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-9)
