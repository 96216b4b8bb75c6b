"""Weight averages against their closed form, schedules at their ends."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from generative.averaging import average_decay, averaged_copy, update_average
from generative.schedules import linear_decay


def test_half_life_is_in_images() -> None:
    for batch in (8, 64):
        decay = average_decay(batch, half_life_images=640, images_seen=10**9)
        assert decay ** (640 / batch) == pytest.approx(0.5)


def test_ramp_up_forgets_the_start() -> None:
    early = average_decay(64, half_life_images=10_000, images_seen=1000)
    assert early == pytest.approx(0.5 ** (64 / 50))
    assert average_decay(64, half_life_images=10_000, images_seen=0) == 0.0
    assert average_decay(64, half_life_images=10_000, images_seen=0, ramp_up=0) == pytest.approx(0.5**0.0064)


def test_average_of_a_line_of_weights() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = averaged_copy(network)
    expected = network[0].weight.detach().clone()
    for step in range(5):
        with torch.no_grad():
            network[0].weight.fill_(float(step))
            network[1].running_mean.fill_(float(step))
        update_average(average, network, 0.75)
        expected = 0.75 * expected + 0.25 * step
    torch.testing.assert_close(average[0].weight, expected)
    assert (average[1].running_mean == 4).all(), "buffers are copied, not averaged"
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert not average.training
    with pytest.raises(ValueError, match="half_life_images must be positive"):
        average_decay(1, half_life_images=0, images_seen=0)


def test_linear_decay() -> None:
    values = [linear_decay(n, start=100, end=200, floor=0.1) for n in (0, 100, 150, 200, 900)]
    assert values == pytest.approx([1.0, 1.0, 0.55, 0.1, 0.1])
    with pytest.raises(ValueError, match="got 200 to 100"):
        linear_decay(0, start=200, end=100)
