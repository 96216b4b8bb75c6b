"""Recipes of fits by hand, and steps of Muon against the singular value decomposition."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_modules.dfm.muon import polar_factors
from lightning_modules.dfm.networks import Shape
from lightning_modules.dfm.recipe import RECIPES, Recipe, recipe_of


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def polar(matrix: torch.Tensor) -> torch.Tensor:
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right


def test_polar_factors_have_singular_values_of_1() -> None:
    """Of layers of several shapes in one call, to 1e-9 what the singular value decomposition gives."""
    matrices = [normal(*size) for size in [(32, 4), (3, 8), (5, 5), (4, 16, 3), (2, 3, 3, 8)]]
    for scale in (1.0, 1e-6):
        for found, matrix in zip(polar_factors([scale * matrix for matrix in matrices]), matrices, strict=True):
            torch.testing.assert_close(found, polar(matrix), rtol=0, atol=1e-9)
            torch.testing.assert_close(polar_factors([matrix])[0], polar(matrix), rtol=0, atol=1e-9)
    assert polar_factors([matrices[0].float()])[0].dtype == torch.float32


def test_directions_without_a_gradient_stay_without_a_step() -> None:
    first, second = normal(8, 1), normal(1, 3, seed=1)
    torch.testing.assert_close(
        polar_factors([first @ second])[0], first @ second / (first.norm() * second.norm()), rtol=0, atol=1e-6
    )
    assert polar_factors([torch.zeros(2, 8, 3)])[0].count_nonzero() == 0


def test_two_steps_of_muon_by_hand() -> None:
    recipe = Recipe("by hand", "muon", 0.1, 8, last=2.0)
    parameters = [normal(2, 8, 3).requires_grad_(), normal(2, 8, 1, seed=1).requires_grad_()]
    expected = [parameter.detach().clone() for parameter in parameters]
    optimizer = recipe.optimizer_of(parameters)
    means = [torch.zeros_like(parameter) for parameter in expected]
    for step in range(2):
        for place, rate in ((0, 0.1), (1, 0.2)):
            gradient = normal(*parameters[place].shape, seed=10 + 2 * step + place)
            parameters[place].grad = gradient
            means[place] = 0.9 * means[place] + 0.1 * gradient
            expected[place] = expected[place] - rate * polar(0.1 * gradient + 0.9 * means[place])
        optimizer.step()
    for found, wanted in zip(parameters, expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=0, atol=1e-12)


def test_steps_are_those_of_torch_but_for_its_rounding() -> None:
    """torch.optim.Muon takes five rounds of an iteration in bfloat16, which leaves singular values between 0.7 and 1.2."""
    start, gradient = normal(16, 4).float(), normal(16, 4, seed=1).float()
    moved = []
    for own in (True, False):
        parameter = start.clone().requires_grad_()
        parameter.grad = gradient.clone()
        rate = 0.1 / math.sqrt(16 / 4)
        theirs = torch.optim.Muon([parameter], lr=rate, momentum=0.9, weight_decay=0.0)
        ours = Recipe("ours", "muon", 0.1, 8).optimizer_of([torch.zeros(2, 2), parameter])
        ours.param_groups[0]["params"] = []
        (ours if own else theirs).step()
        moved.append((parameter.detach() - start).flatten())
    assert float(torch.cosine_similarity(*moved, dim=0)) > 0.98
    assert float(moved[1].norm() / moved[0].norm()) == pytest.approx(1.0, abs=0.2)


def test_recipes_by_hand() -> None:
    small, large = Shape(width=6, depth=6, channels=3), Shape(width=8, depth=6, channels=3)
    printed = recipe_of("printed", large)
    assert (printed.optimizer, printed.rate, printed.batch, printed.start) == ("adam", 4e-4, 16384, "printed")
    assert [printed.factor(step, 100) for step in (0, 50, 99)] == [1.0] * 3
    assert [recipe_of("ours", shape).batch for shape in (small, large)] == [2048, 4096]
    assert [recipe_of("ours", shape).rate for shape in (small, large)] == pytest.approx([0.006, 0.003])
    assert [recipe_of("ours_adam", shape).rate for shape in (small, large)] == pytest.approx([0.002, 0.0005])
    for name, last in (("printed", 1), ("ours", 2), ("ours_adam", 4)):
        groups = recipe_of(name, small).optimizer_of([torch.zeros(4, 2), torch.zeros(4, 1)]).param_groups
        assert groups[1]["lr"] == pytest.approx(last * groups[0]["lr"])
    assert [recipe_of(name, small).name for name in RECIPES] == list(RECIPES)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    factors = [recipe_of("ours", Shape(width=4, depth=2, channels=1)).factor(step, 500) for step in range(500)]
    assert factors[:3] == pytest.approx([0.1, 0.2, 0.3])  # 2 % of the steps
    assert max(factors) == factors[9] == pytest.approx(1.0)
    assert factors[-1] == pytest.approx(0.5 * (1 - math.cos(math.pi / 491)))
    assert recipe_of("ours", Shape(width=4, depth=2, channels=1)).factor(0, 1) == 1.0


def test_bad_recipes_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown recipe 'theirs': choose one of printed, ours, ours_image, ours_adam"):
        recipe_of("theirs", Shape(width=4, depth=2, channels=1))
    with pytest.raises(ValueError, match="unknown optimizer 'sgd'"):
        Recipe("mine", "sgd", 0.1, 8)
    with pytest.raises(ValueError, match=r"rate and batch must be positive, got 0\.1 and 0"):
        Recipe("mine", "adam", 0.1, 0)
