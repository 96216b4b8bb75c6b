"""Gram matrices by hand, and what a style is blind to."""

from __future__ import annotations

import pytest
import torch

from generative.adversarial.gram import gram_matrix, style_loss


def test_by_hand() -> None:
    """Two channels on 1 x 2 places, [1, 2] and [3, -1]: inner products 5, 1, 10, each over 2 * 1 * 2 = 4."""
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert torch.equal(gram_matrix(features), torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 4)
    # Against zeros the squares of these four have the mean (25 + 1 + 1 + 100) / 16 / 4.
    assert style_loss([features], [torch.zeros_like(features)]).item() == pytest.approx(127 / 64)
    twice = style_loss([features, features], [torch.zeros_like(features)] * 2)
    assert twice.item() == pytest.approx(127 / 32)


def test_places_do_not_count_and_textures_do() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(3, 4, 6, 6, generator=random, dtype=torch.float64)
    shuffled = features.flatten(2)[:, :, torch.randperm(36, generator=random)].view_as(features)
    assert style_loss([features], [shuffled]).abs().max() < 1e-20
    assert style_loss([features], [torch.cat([features, features], dim=3)]).abs().max() < 1e-20, "nor the size of maps"
    assert (style_loss([features], [features.flip(1)]) > 1e-4).all()


def test_every_image_has_its_own() -> None:
    """So that parts of a batch give what the whole gives."""
    random = torch.Generator().manual_seed(1)
    first, second = (torch.randn(4, 3, 5, 5, generator=random) for _ in range(2))
    whole = style_loss([first], [second])
    parts = [style_loss([first[k : k + 1]], [second[k : k + 1]]) for k in range(4)]
    torch.testing.assert_close(whole, torch.cat(parts))


def test_its_gradient_is_that_of_finite_differences() -> None:
    random = torch.Generator().manual_seed(2)
    first, second = (torch.randn(1, 2, 3, 3, generator=random, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(lambda x: style_loss([x], [second]), first.requires_grad_())
