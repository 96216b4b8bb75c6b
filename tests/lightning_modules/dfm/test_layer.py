"""The Fourier layer and networks of it: golden values, published counts, period, and what one layer cannot say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.dfm.layer import KERNELS, as_full, features, fourier_layer
from lightning_modules.dfm.networks import Shape, colours, hidden_states, join, pixel_positions
from lightning_modules.dfm.start import (
    first_scales,
    growth,
    output_covariance,
    printed_scales,
    random_coefficients,
    scale_at,
)
from tests.support.released import released_outputs

POINTS = torch.tensor([[0.0, 0.0], [0.25, 0.5], [0.1, 0.3], [0.7, 0.9]], dtype=torch.float64)
GOLDEN = [  # at POINTS, channel 0, of coefficients 0.05 sin(1.7 i + layer)
    ((3, 2, 1, "full"), 88, (0.111439316, -0.033113228, 0.131209381, 0.094820530)),
    ((3, 2, 1, "cas"), 44, (0.048829820, 0.108295013, 0.085493956, 0.067518809)),
    ((3, 2, 1, "odd"), 44, (-0.010491479, 0.007048702, 0.006841859, -0.000301547)),
    ((4, 6, 1, "full"), 704, (-0.069596947, -0.034822404, 0.046943077, 0.052078664)),
    ((4, 6, 1, "cas"), 352, (-0.001396283, 0.174956252, 0.121080783, 0.166363623)),
    ((4, 6, 1, "odd"), 352, (-0.099555416, -0.007541758, -0.141321890, -0.084723776)),
    ((6, 10, 3, "full"), 7344, (-0.006180563, -0.054993383, -0.371142220, -0.366980240)),
    ((6, 10, 3, "cas"), 3672, (-0.052361338, -0.741153929, -0.196601741, 0.003194936)),
    ((6, 10, 3, "odd"), 3672, (-0.152524772, -0.204835048, -0.239250253, 0.045800392)),
    ((8, 6, 3, "full"), 22080, (-0.129690165, -0.083129074, -0.335965714, -0.228755061)),
]


def sines(shape: Shape) -> list[Tensor]:
    return [
        (0.05 * (1.7 * torch.arange(rows * columns, dtype=torch.float64) + place).sin()).unflatten(0, (rows, columns))
        for place, (rows, columns) in enumerate(shape.matrices)
    ]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def rows(*size: int, seed: int = 0) -> Tensor:
    return torch.rand(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("given", "count", "values"), GOLDEN)
def test_golden_values_and_the_count_of_coefficients(
    given: tuple[int, int, int, str], count: int, values: tuple[float, ...]
) -> None:
    width, depth, channels, kernel = given
    shape = Shape(width=width, depth=depth, channels=channels, kernel=kernel)
    assert shape.num_coefficients == count
    found = colours(POINTS, sines(shape), shape)[:, 0]
    torch.testing.assert_close(found, torch.tensor(values, dtype=torch.float64), rtol=0, atol=1e-8)


@released_outputs("dfm_*.npz")
def test_released_outputs(path: Path) -> None:
    stored = {name: torch.from_numpy(value) for name, value in np.load(path).items() if name != "kernel"}
    kernel, width, depth = str(np.load(path)["kernel"]), int(stored["width"]), int(stored["depth"])
    coefficients = [stored[f"coefficients_{place}"] for place in range(depth + 1)]
    shape = Shape(width=width, depth=depth, channels=stored["values"].shape[1], kernel=kernel)
    assert [tuple(matrix.shape) for matrix in coefficients] == [*shape.matrices]
    assert shape.num_coefficients == int(stored.get("num_coefficients", shape.num_coefficients))
    torch.testing.assert_close(colours(stored["points"], coefficients, shape), stored["values"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_network_has_period_1_and_a_list_of_networks_is_each_of_them(kernel: str) -> None:
    shape = Shape(width=3, depth=2, channels=2, kernel=kernel)
    numbers = 0.2 * torch.randn(4, shape.num_coefficients, dtype=torch.float64, generator=seeded())
    coefficients = shape.split(numbers)
    assert torch.equal(join(coefficients), numbers)
    points = rows(5, 2)
    together = colours(points, coefficients, shape)
    assert together.shape == (4, 5, 2)
    for place in range(4):
        alone = colours(points, [matrix[place] for matrix in coefficients], shape)
        torch.testing.assert_close(together[place], alone, rtol=0, atol=1e-12)
    moved = points + torch.tensor([1.0, -2.0], dtype=torch.float64)
    torch.testing.assert_close(colours(moved, coefficients, shape), together, rtol=0, atol=1e-11)
    assert not torch.allclose(colours(points + 0.5, coefficients, shape), together, atol=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_is_a_choice_of_coefficients_of_the_full_one(kernel: str) -> None:
    x, coefficients = rows(6, 4), rows(2, features(rows(1, 4), kernel).shape[1], 3, seed=1)
    expected = fourier_layer(x, coefficients, kernel)
    torch.testing.assert_close(fourier_layer(x, as_full(coefficients, 4, kernel), "full"), expected, rtol=0, atol=1e-11)


def test_the_order_of_features_by_hand() -> None:
    x = torch.tensor([[0.1, 0.2]], dtype=torch.float64)
    angles = [2 * math.pi * t for t in (0.0, 0.1, 0.2, 0.3)]  # row r has bit j of r times x_j
    full = [*map(math.cos, angles), *map(math.sin, angles)]
    torch.testing.assert_close(features(x, "full")[0], torch.tensor(full, dtype=torch.float64), rtol=0, atol=1e-15)
    odd = [full[1], full[2], full[5], full[6]]
    torch.testing.assert_close(features(x, "odd")[0], torch.tensor(odd, dtype=torch.float64), rtol=0, atol=1e-15)
    cas = [a + b for a, b in zip(full[:4], full[4:], strict=True)]
    torch.testing.assert_close(features(x, "cas")[0], torch.tensor(cas, dtype=torch.float64), rtol=0, atol=1e-15)


def test_one_layer_cannot_say_the_cosine_of_a_difference() -> None:
    """cos 2 pi (x - y) is orthogonal to every feature, so the best fit is 0, which misses all of its mean square."""
    grid = pixel_positions(16, 16)
    wanted = (2 * math.pi * (grid[:, 0] - grid[:, 1])).cos()
    assert float((features(grid, "full").T @ wanted).abs().max()) < 1e-11
    both = (2 * math.pi * grid.sum(dim=1)).cos()  # k = (1, 1) is there
    assert float((features(grid, "full").T @ both).abs().max()) == pytest.approx(128, abs=1e-9)


@pytest.mark.parametrize(("side", "whole", "moved"), [(8, 50, 64), (14, 196, 182), (28, 704, 784), (32, 938, 1024)])
def test_cas_cannot_tell_some_whole_pixels_apart(side: int, whole: int, moved: int) -> None:
    """A quarter of a pixel further it can, where 4 divides the side; the other kernels always can."""

    def count(kernel: str, shift: float) -> int:
        found = features(pixel_positions(side, side, shift=shift), kernel)
        return len(torch.unique((found * 1e9).round(), dim=0))

    assert [count("cas", 0.0), count("cas", 0.25)] == [whole, moved]
    assert [count("odd", 0.0), count("full", 0.0)] == [side**2] * 2


def test_growth_and_covariance_by_closed_form_and_by_draws() -> None:
    width, networks = 4, 20_000
    scale = scale_at(1.0, width)
    assert growth(scale, width) == pytest.approx(1.0)
    assert [round(scale_at(1.0, m) ** 2, p) for m, p in ((4, 5), (6, 5), (8, 6))] == [7.9e-4, 1.3e-4, 2.5e-5]
    drawn = scale * torch.randn(networks, 2 * 2**width, 1, dtype=torch.float64, generator=seeded())
    delta = torch.tensor([0.1, -0.05, 0.2, 0.02], dtype=torch.float64)
    x = torch.stack([rows(width), rows(width) + delta, rows(width) + 1e-4])
    values = fourier_layer(x, drawn, "full")[..., 0]
    expected = float(output_covariance(scale, delta))
    assert float((values[:, 0] * values[:, 1]).mean()) == pytest.approx(expected, rel=0.05)
    # The common direction is amplified sqrt(m + 1) times as much: E (dh)^2 = pi^2 tau^2 (|v|^2 + (sum v)^2).
    slope = ((values[:, 2] - values[:, 0]) / 1e-4).square().mean()
    assert float(slope) == pytest.approx(math.pi**2 * 2**width * scale**2 * (width + width**2), rel=0.05)


def test_scales_by_recipe() -> None:
    shape = Shape(width=6, depth=3, channels=3)
    assert first_scales(shape) == pytest.approx([0.2, scale_at(0.3, 6), scale_at(0.3, 6), 0.3 / 8])
    assert printed_scales(shape) == pytest.approx([math.sqrt(2e-10)] * 4)
    odd = Shape(width=6, depth=3, channels=3, kernel="odd")
    assert first_scales(odd) == pytest.approx([math.sqrt(2) * scale for scale in first_scales(shape)])
    drawn = random_coefficients(shape, first_scales(shape), generator=seeded(), networks=(50,))
    assert [float(matrix.std()) for matrix in drawn] == pytest.approx(first_scales(shape), rel=0.1)
    hidden = hidden_states(rows(64, 2).float(), drawn, shape)[0]
    assert float(hidden.std()) == pytest.approx(0.4, rel=0.1)  # the standard deviation that the first layer is to give
