"""DiffAugment by hand: each change is the one that its numbers say, gradients pass, and images do not touch each other."""

from __future__ import annotations

import pytest
import torch

from generative.adversarial.diff_augment import cut_out, diff_augment, num_draws, recolored, translated

ALL = ("color", "translation", "cutout")


def images(count: int = 3, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def test_the_middle_of_all_colours_changes_nothing() -> None:
    x = images()
    assert torch.allclose(recolored(x, torch.full((3, 3), 0.5, dtype=torch.float64)), x, atol=1e-12)


@pytest.mark.parametrize(("place", "number"), [(0, 0.75), (1, 0.0), (2, 0.0)])
def test_colours_by_hand(place: int, number: float) -> None:
    x = images()
    uniform = torch.full((3, 3), 0.5, dtype=torch.float64)
    uniform[1, place] = number
    found = recolored(x, uniform)
    assert torch.allclose(found[[0, 2]], x[[0, 2]], atol=1e-12), "the others stay"
    grey, level = x[1].mean(dim=0), x[1].mean()
    expected = (x[1] + 0.25, grey.expand(3, -1, -1), 0.5 * (x[1] - level) + level)[place]
    assert torch.allclose(found[1], expected, atol=1e-12)


@pytest.mark.parametrize(("numbers", "first"), [((0.5, 0.5), (0, 0)), ((0.0, 0.999), (-2, 2)), ((0.999, 0.0), (2, -2))])
def test_moves_by_hand(numbers: tuple[float, float], first: tuple[int, int]) -> None:
    """``first``: the row and column of the image that the first pixel shows then; beside the image is 0."""
    x = images(1)
    found = translated(x, torch.tensor([numbers], dtype=torch.float64), share=0.125)
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    assert torch.equal(found, padded[:, :, 2 + first[0] : 18 + first[0], 2 + first[1] : 18 + first[1]])


def test_a_square_is_cut_out_wherever_its_middle_lies() -> None:
    x = torch.ones(1000, 1, 16, 16)
    uniform = torch.rand(1000, 2, generator=torch.Generator().manual_seed(1))
    found = cut_out(x, uniform, share=0.25)
    removed = (found == 0).flatten(1).sum(dim=1)
    assert removed.max() == 16
    assert removed.min() == 4, "of a square at a corner a quarter"
    shares = (found == 0).float().mean(dim=(0, 1))
    # A pixel is within a square of 4 of 17 places on each axis.
    assert shares[4:12, 4:12].mean() == pytest.approx((4 / 17) ** 2, rel=0.15)
    corner = cut_out(x[:1], torch.zeros(1, 2), share=0.25)[0, 0, :3, :3]
    assert torch.equal(corner, torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]))


def test_gradients_pass_and_images_do_not_touch() -> None:
    x = images().requires_grad_()
    uniform = torch.rand(3, num_draws(ALL), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    settings = {"policies": ALL, "translation": 0.125, "cutout": 0.2}
    found = diff_augment(x, uniform, **settings)  # type: ignore[arg-type]
    gradient = torch.autograd.grad(found[1].square().sum(), x)[0]
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2]].abs().sum() == 0
    alone = diff_augment(x[1:2], uniform[1:2], **settings)  # type: ignore[arg-type]
    assert torch.allclose(alone, found[1:2], atol=1e-12)
    assert torch.autograd.gradcheck(lambda y: diff_augment(y, uniform[:1], **settings), x[:1, :, :6, :6].detach().requires_grad_())  # type: ignore[arg-type]  # fmt: skip


def test_unknown_policies_and_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown policy 'colour'"):
        num_draws(("colour",))
    with pytest.raises(ValueError, match=r"3 images need random numbers \[3, 3\]"):
        diff_augment(images(), torch.zeros(3, 5), policies=("color",), translation=0.1, cutout=0.1)
