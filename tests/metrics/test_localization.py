"""Scores of known maps."""

from __future__ import annotations

import numpy as np
import torch

from metrics.localization import centre_map, correlation, energy_inside, pointing_game


def test_energy_and_pointing_of_known_maps() -> None:
    inside = torch.zeros(4, 4, 4, dtype=torch.bool)
    inside[:, :2, :2] = True
    shares = torch.stack([inside[0].float(), torch.ones(4, 4), (~inside[0]).float(), torch.zeros(4, 4)])
    assert energy_inside(shares, inside).tolist() == [1, 0.25, 0, 0.25], "no mass says as much as an even map"
    assert pointing_game(shares, inside).tolist() == [1, 0.25, 0, 0.25]
    counted = torch.ones_like(inside)
    counted[:, 2:] = False
    assert energy_inside(shares, inside, counted).tolist() == [1, 0.5, 0, 0.5]
    assert pointing_game(shares, inside, counted).tolist() == [1, 0.5, 0, 0.5]
    peak = torch.rand(1, 4, 4)
    peak[0, 1, 1], peak[0, 3, 3] = 2, 3
    assert pointing_game(peak, inside[:1]).tolist() == [0]
    assert pointing_game(peak, inside[:1], counted[:1]).tolist() == [1], "what does not count is no maximum"


def test_the_middle_knows_only_the_middle() -> None:
    values = centre_map(6, 9)
    assert int(values.argmax()) in (2 * 9 + 4, 3 * 9 + 4)
    torch.testing.assert_close(values, values.flip(0).flip(1))
    assert float(centre_map(5, 5)[2, 2]) == 1


def test_correlation_is_pearsons() -> None:
    a, b = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    expected = [np.corrcoef(a[i].flatten().numpy(), b[i].flatten().numpy())[0, 1] for i in range(3)]
    np.testing.assert_allclose(correlation(a, b), expected, atol=1e-6)
    torch.testing.assert_close(correlation(a, 3 - 2 * a), -torch.ones(3))
    assert correlation(a[:1], torch.ones(1, 4, 5)).isnan().all()
