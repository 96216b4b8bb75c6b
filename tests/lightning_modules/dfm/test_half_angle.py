"""The half-angle form is the Fourier layer: values, derivatives, norms, golden values; compiled, or said why not."""

from __future__ import annotations

import pytest
import torch

from lightning_modules.dfm.compilation import compiled_where_possible, what_is_missing
from lightning_modules.dfm.half_angle import (
    from_half_angles,
    half_angle_layer,
    products,
    signs,
    to_half_angles,
)
from lightning_modules.dfm.layer import KERNELS, fourier_layer, num_features
from lightning_modules.dfm.networks import Shape, colours
from tests.lightning_modules.dfm.test_layer import GOLDEN, POINTS, seeded, sines


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_values_and_derivatives_are_those_of_the_layer(kernel: str, width: int) -> None:
    """Three networks at points of their own, and at shared ones, whose derivative is the sum over networks."""
    coefficients = normal(3, num_features(width, kernel), 2)
    for size in ((3, 6, width), (6, width)):
        x, weights = normal(*size, seed=1), normal(3, 6, 2, seed=2)
        found = []
        for layer in (fourier_layer, half_angle_layer):
            inputs = [x.clone().requires_grad_(), coefficients.clone().requires_grad_()]
            values = layer(*inputs, kernel)
            found.append([values, *torch.autograd.grad((values * weights).sum(), inputs)])
        for ours, naive in zip(*reversed(found), strict=True):
            torch.testing.assert_close(ours, naive, rtol=0, atol=1e-11)


def test_gradients_by_finite_differences_and_no_second_ones() -> None:
    x, coefficients = normal(4, 3).requires_grad_(), normal(16, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda *inputs: half_angle_layer(*inputs, "full"), (x, coefficients))
    values = half_angle_layer(x, coefficients, "full").square().sum()
    (slope,) = torch.autograd.grad(values, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("width", [1, 4, 7])
def test_features_have_norm_1_and_the_change_of_coefficients_keeps_norms(width: int) -> None:
    angles = 3.0 * normal(width, 20)
    norms = products(angles.cos(), angles.sin()).square().sum(dim=0)
    torch.testing.assert_close(norms, torch.ones_like(norms), rtol=0, atol=1e-12)
    coefficients = normal(2, 2 ** (width + 1), 3)
    p, q = to_half_angles(coefficients, width)
    both = torch.cat([p, q], dim=-2)
    torch.testing.assert_close(both.square().sum(dim=-2), coefficients.square().sum(dim=-2), rtol=0, atol=1e-10)
    torch.testing.assert_close(from_half_angles(p, q, width), coefficients, rtol=0, atol=1e-12)


def test_signs_by_hand() -> None:
    """chi_A(k) is -1 for each input that is in A and not in k: rows A, columns k, both {}, {0}, {1}, {0, 1}."""
    expected = [[1, 1, 1, 1], [-1, 1, -1, 1], [-1, -1, 1, 1], [1, -1, -1, 1]]
    assert (2 * signs(2)).tolist() == expected


@pytest.mark.parametrize(("given", "count", "values"), GOLDEN)
def test_golden_values(given: tuple[int, int, int, str], count: int, values: tuple[float, ...]) -> None:
    width, depth, channels, kernel = given
    shape = Shape(width=width, depth=depth, channels=channels, kernel=kernel)
    found = colours(POINTS, sines(shape), shape, half_angle_layer)[:, 0]
    torch.testing.assert_close(found, torch.tensor(values, dtype=torch.float64), rtol=0, atol=1e-8)


@pytest.mark.skipif("torch" in what_is_missing(), reason=what_is_missing())
def test_a_network_is_traced_whole() -> None:
    """As torch.compile takes it, without the compiler: its tables are constants, its backward is the one written by hand."""
    shape = Shape(width=2, depth=1, channels=1, kernel="odd")
    coefficients = [0.3 * part.requires_grad_() for part in shape.split(normal(2, shape.num_coefficients))]

    def total(points: torch.Tensor, *parts: torch.Tensor) -> torch.Tensor:
        return colours(points, parts, shape, half_angle_layer).square().sum()

    traced = torch.compile(total, fullgraph=True, dynamic=False, backend="aot_eager")
    points = torch.rand(5, 2, dtype=torch.float64, generator=seeded())
    gradients = [torch.autograd.grad(run(points, *coefficients), coefficients) for run in (total, traced)]
    for eager, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=0, atol=1e-12)


def test_without_a_compiler_the_function_itself_is_used_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.15.0+cpu")
    monkeypatch.setenv("CXX", "/nowhere/g++")
    assert what_is_missing() == "there is no C++ compiler /nowhere/g++"
    function, program = compiled_where_possible(torch.sin)
    assert function is torch.sin
    assert program == "eager: there is no C++ compiler /nowhere/g++"


def test_an_older_torch_does_not_compile_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.11.0+cu130")
    assert compiled_where_possible(torch.sin) == (torch.sin, "eager: torch 2.11.0+cu130 is older than 2.15")
