"""Pivotal tuning: some parameters move for a while, or every image has copies of its own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from generative.inversion.measurements import Masked
from generative.inversion.objective import ReconstructionLoss
from generative.inversion.search import Found, Point
from generative.inversion.tuning import OwnWeights, Tuning, tuned, tuned_apart, tuned_at_once


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2).double().requires_grad_(False)


INPUTS = torch.rand(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def distance(layer: nn.Linear, rows: slice = slice(None)) -> torch.Tensor:
    return (layer(INPUTS[rows]) - 0.5).square().sum()


def test_weights_follow_and_come_back() -> None:
    layer, own = network(), network().state_dict()
    with tuned([layer.weight], [lambda: distance(layer)], num_images=4, steps=50, rate=0.05):
        assert distance(layer) < 0.5 * distance(network())
        assert not torch.equal(layer.weight, own["weight"])
        assert torch.equal(layer.bias, own["bias"])
        assert not layer.weight.requires_grad
    assert torch.equal(layer.weight, own["weight"])
    assert layer.weight.grad is None
    assert not layer.weight.requires_grad


def test_they_come_back_whatever_happens() -> None:
    layer, own = network(), network().state_dict()
    with (
        pytest.raises(RuntimeError, match="stop"),
        tuned([layer.weight], [lambda: distance(layer)], num_images=4, steps=3, rate=0.1),
    ):
        raise RuntimeError("stop")
    assert torch.equal(layer.weight, own["weight"])

    def broken() -> torch.Tensor:
        raise RuntimeError("no loss")

    losses = [lambda: distance(layer), broken]
    with pytest.raises(RuntimeError, match="no loss"), tuned([layer.weight], losses, num_images=4, steps=3, rate=0.1):
        pass
    assert torch.equal(layer.weight, own["weight"])
    assert not layer.weight.requires_grad


def test_batches_are_taken_together() -> None:
    found = []
    for rows in ([slice(None)], [slice(0, 3), slice(3, 4)]):
        layer = network()
        losses = [lambda layer=layer, part=part: distance(layer, part) for part in rows]
        with tuned([layer.weight], losses, num_images=4, steps=20, rate=0.01):
            found.append(layer.weight.clone())
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_no_steps_change_nothing() -> None:
    layer = network()
    with tuned([layer.weight], [], num_images=1, steps=0, rate=0.1):
        assert torch.equal(layer.weight, network().weight)


def test_bad_input() -> None:
    with (
        pytest.raises(ValueError, match="tuning_steps must be at least 0, got -1"),
        tuned([], [], num_images=1, steps=-1, rate=1),
    ):
        pass
    with (
        pytest.raises(ValueError, match="tuning_rate must be positive and finite, got 0"),
        tuned([], [], num_images=1, steps=1, rate=0),
    ):
        pass


class Wave(nn.Module):
    """Images [b, 1, 3, 4] at codes [b, 2] by a weight that all pixels share; another draws nothing; classes [b] shift them."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(2)
        self.basis = torch.randn(12, 6, generator=random, dtype=torch.float64)
        self.weight = nn.Parameter(torch.randn(6, 2, generator=random, dtype=torch.float64))
        self.idle = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.kept = nn.Parameter(torch.ones(12, dtype=torch.float64))

    def draw(self, point: Point, labels: torch.Tensor | None) -> torch.Tensor:
        shift = 0.0 if labels is None else 0.1 * labels[:, None]
        return ((point["code"] @ self.weight.T).tanh() @ self.basis.T * self.kept + shift).unflatten(1, (1, 3, 4))


TARGETS = torch.rand(4, 1, 3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
KNOWN = torch.rand(4, 1, 3, 4, generator=torch.Generator().manual_seed(4)) > 0.4
PIVOTS = {"code": torch.randn(4, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)}
LABELS = torch.tensor([2, 0, 1, 5])
QUICK = Tuning(steps=30, rate=0.05)


def tuned_rows(network: Wave, rows: slice, targets: torch.Tensor = TARGETS, **given: Any) -> Found:
    drawing = OwnWeights(network, [network.weight, network.idle], network.draw)
    loss = ReconstructionLoss().to(targets[rows], through=Masked(KNOWN[rows]))
    return tuned_apart(drawing, {"code": PIVOTS["code"][rows]}, LABELS[rows], loss, QUICK, **given)


def test_each_image_has_weights_of_its_own() -> None:
    network, own = Wave(), copy.deepcopy(Wave().state_dict())
    found = tuned_rows(network, slice(None))
    assert len(found.trace) == QUICK.steps
    assert (found.losses < 0.5 * found.trace[0]).all(), "each image has come near to what is known of it"
    for name, value in network.state_dict().items():
        assert torch.equal(value, own[name])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    alone = [tuned_rows(network, slice(row, row + 1)) for row in range(4)]
    torch.testing.assert_close(found.images, torch.cat([part.images for part in alone]), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.trace, torch.cat([part.trace for part in alone], dim=1), rtol=1e-9, atol=1e-9)


def test_an_images_own_weights_are_those_of_tuning_it_alone() -> None:
    """The same steps on the network itself, and what it then draws."""
    network = Wave()
    loss = ReconstructionLoss().to(TARGETS[:1], through=Masked(KNOWN[:1]))

    def drawn() -> torch.Tensor:
        return network.draw({"code": PIVOTS["code"][:1]}, LABELS[:1])

    with tuned([network.weight], [lambda: loss(drawn()).sum()], num_images=1, steps=30, rate=0.05):
        expected = drawn()
    torch.testing.assert_close(tuned_rows(network, slice(0, 1)).images, expected, rtol=1e-9, atol=1e-9)


def test_tuning_reads_nothing_of_the_hole() -> None:
    found = tuned_rows(Wave(), slice(None))
    hidden = torch.where(KNOWN, TARGETS, torch.nan)
    assert torch.equal(tuned_rows(Wave(), slice(None), hidden).images, found.images)


def test_an_image_is_taken_from_the_step_that_is_best_on_what_is_watched() -> None:
    network = Wave()
    plain, begin = tuned_rows(network, slice(None)), network.draw(PIVOTS, LABELS)
    loss = ReconstructionLoss().to(TARGETS, through=Masked(KNOWN))
    middle = (plain.trace[0] + plain.losses) / 2

    def half_way(images: torch.Tensor) -> torch.Tensor:
        return (loss(images) - middle).abs()

    found = tuned_rows(network, slice(None), watch=half_way)
    assert (half_way(found.images) < 0.3 * half_way(plain.images)).all()
    assert (half_way(found.images) < 0.3 * half_way(begin)).all()
    torch.testing.assert_close(half_way(found.images), (plain.trace - middle).abs().amin(dim=0), rtol=1e-9, atol=1e-9)

    def worse_each_time(images: torch.Tensor) -> torch.Tensor:
        return (images - begin).square().sum(dim=(1, 2, 3))

    stayed = tuned_rows(network, slice(None), watch=worse_each_time).images
    torch.testing.assert_close(stayed, begin, rtol=1e-12, atol=1e-12)


def test_tuning_ends_with_its_time() -> None:
    network = Wave()
    drawing, loss = OwnWeights(network, [network.weight], network.draw), ReconstructionLoss().to(TARGETS)
    found = tuned_apart(drawing, PIVOTS, LABELS, loss, Tuning(10**6, 0.01), seconds=0.1)
    assert 1 < len(found.trace) < 10**6
    assert found.seconds < 0.1 + 5 * 0.1 / len(found.trace) + 0.05
    late = tuned_apart(drawing, PIVOTS, LABELS, loss, Tuning(10**6, 0.01), seconds=1e-9)
    assert len(late.trace) == 1


def test_images_tuned_together_are_as_many_as_fit() -> None:
    parameters = [nn.Parameter(torch.zeros(100)), nn.Parameter(torch.zeros(25, dtype=torch.float64))]
    assert tuned_at_once(parameters, most_bytes=4 * 600 * 7 + 10) == 7  # weights, gradients, two moments
    assert tuned_at_once(parameters, most_bytes=1) == 1


def test_a_tuning_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="tuning_steps must be at least 0, got -1"):
        Tuning(-1, 0.1)
    with pytest.raises(ValueError, match="tuning_rate must be positive and finite, got inf"):
        Tuning(1, float("inf"))
    with pytest.raises(ValueError, match=r"tuning_rate=0\.01 tunes nothing: give tuning_steps, or leave it out"):
        Tuning.asked(0, 0.01)
    assert Tuning.asked(0, None) == Tuning(0, 1e-3)
    assert Tuning.asked(5, 0.01) == Tuning(5, 0.01)
