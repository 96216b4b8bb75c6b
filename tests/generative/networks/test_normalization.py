"""Group norm: the groups of each rule, in numbers, and that images stay apart; batch norm with Keras' constants."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from generative.networks.normalization import by_divisors, by_powers_of_two, group_norm, keras_norm

CHANNELS = (16, 24, 40, 64, 88, 96, 288, 576, 2048)


@pytest.mark.parametrize(
    ("rule", "least_channels", "groups"),
    [
        (by_powers_of_two, 8, [2, 1, 1, 8, 1, 4, 4, 8, 32]),
        (by_divisors, 8, [2, 3, 5, 8, 11, 12, 32, 32, 32]),
        (by_divisors, 4, [4, 6, 10, 16, 22, 24, 32, 32, 32]),
    ],
)
def test_groups_divide_the_channels_and_are_not_tiny(
    rule: Callable[..., int], least_channels: int, groups: list[int]
) -> None:
    norms = [group_norm(channels, least_channels=least_channels, rule=rule) for channels in CHANNELS]
    assert [norm.num_groups for norm in norms] == groups
    for norm in norms:
        assert norm.num_groups <= 32
        assert norm.num_channels % norm.num_groups == 0
        assert norm.num_channels // norm.num_groups >= least_channels


def test_fewer_channels_than_a_group_has_are_one_group() -> None:
    assert by_divisors(3, least_channels=4) == 1
    assert group_norm(3, least_channels=4).num_groups == 1


def test_each_image_is_normalised_alone() -> None:
    norm = group_norm(16, least_channels=4)
    x = torch.randn(3, 16, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(norm(x)[:1], norm(x[:1]))
    grouped = norm(x).unflatten(1, (norm.num_groups, -1)).flatten(2)
    torch.testing.assert_close(grouped.mean(dim=2), torch.zeros(3, norm.num_groups), rtol=0, atol=1e-6)


def test_keras_norm() -> None:
    norm = keras_norm("batch", 6)
    assert isinstance(norm, nn.BatchNorm2d)
    assert (norm.num_features, norm.eps, norm.momentum) == (6, 1e-3, 0.01)
    assert keras_norm("batch", 6, batch_momentum=0.1).momentum == 0.1
    grouped = [keras_norm("group", channels) for channels in (3, 33, 128)]
    assert [norm.num_groups for norm in grouped] == [1, 3, 16]  # type: ignore[union-attr]
    for momentum in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"above 0 and at most 1, got {momentum}"):
            keras_norm("batch", 6, batch_momentum=momentum)
    with pytest.raises(ValueError, match="unknown normalization 'none': choose one of batch, group"):
        keras_norm("none", 6)
