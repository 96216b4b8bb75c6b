"""The convolutional critic: its groups, its classes, its sizes."""

from __future__ import annotations

import pytest
import torch

from generative.networks.critic import ConvCritic, minibatch_deviation


def test_minibatch_deviation() -> None:
    features = torch.randn(8, 3, 4, 4)
    out = minibatch_deviation(features, group_size=4)
    assert out.shape == (8, 4, 4, 4)
    for start in (0, 4):
        expected = features[start : start + 4].std(dim=0, correction=0).mean()
        torch.testing.assert_close(out[start : start + 4, 3], expected.expand(4, 4, 4), rtol=1e-4, atol=1e-5)
    # Ranks that hold whole groups compute what one rank does.
    assert torch.equal(out[4:], minibatch_deviation(features[4:], group_size=4))
    constant = torch.zeros(4, 1, 2, 2, requires_grad=True)
    minibatch_deviation(constant, group_size=4).sum().backward()
    assert torch.isfinite(constant.grad).all(), "a constant border must not give NaN"
    with pytest.raises(ValueError, match="a batch of 6 cannot be cut into groups of 4"):
        minibatch_deviation(torch.zeros(6, 1, 2, 2), group_size=4)


@pytest.mark.parametrize("size", [8, 16, 32])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_critic(size: int, spectral_norm: bool) -> None:
    critic = ConvCritic(image_shape=(3, size, size), num_classes=5, width=4, spectral_norm=spectral_norm)
    images, labels = torch.randn(8, 3, size, size), torch.randint(5, (8,))
    logits = critic(images, labels)
    assert logits.shape == (8,)
    assert not torch.allclose(logits, critic(images, (labels + 1) % 5)), "the label matters"
    with pytest.raises(ValueError, match="give a label"):
        critic(images)
    if spectral_norm:
        weights = [critic.stem.weight.flatten(1), critic.hidden.weight, critic.logit.weight]
        for weight in weights:
            assert torch.linalg.matrix_norm(weight, 2) < 1.5  # the power iteration has just begun


def test_critic_refuses_other_sizes() -> None:
    for shape in ((1, 7, 7), (1, 4, 4), (1, 8, 16)):
        with pytest.raises(ValueError, match="image size must be 8, 16, 32"):
            ConvCritic(image_shape=shape)
