"""A search where the answer is known: images that are linear in the point."""

from __future__ import annotations

import time

import pytest
import torch

from generative.inversion.measurements import Masked, Whole
from generative.inversion.objective import ReconstructionLoss
from generative.inversion.search import Allowance, nearest, search, space_with
from tests.generative.inversion.linear import LinearSpace

SPACE = LinearSpace()


def noise(count: int, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def start(count: int) -> dict[str, torch.Tensor]:
    return SPACE.at(torch.zeros(count, 12, dtype=torch.float64))


def test_it_finds_what_draws_the_images() -> None:
    targets = noise(4)
    found = search(SPACE, ReconstructionLoss().to(targets), start(4), steps=300)
    assert found.images.shape == targets.shape
    torch.testing.assert_close(found.images, targets, rtol=0, atol=1e-3)
    assert torch.equal(found.images, SPACE.draw(found.point))
    assert torch.equal(found.losses, ReconstructionLoss().to(targets)(found.images))
    assert found.point.keys() == {"code", "shift"}


def test_the_trace_is_that_of_every_image_and_step() -> None:
    targets = noise(3)
    found = search(SPACE, ReconstructionLoss().to(targets), start(3), steps=50)
    assert found.trace.shape == (50, 3)
    torch.testing.assert_close(found.trace[0], targets.square().mean(dim=(1, 2, 3)))
    assert (found.losses < 0.1 * found.trace[0]).all()
    assert not found.trace.requires_grad


def test_rows_are_independent() -> None:
    targets, known = noise(5), torch.rand(5, 1, 3, 4, generator=torch.Generator().manual_seed(2)) > 0.4
    measure = Masked(known)
    together = search(SPACE, ReconstructionLoss().to(targets, through=measure), start(5), steps=40)
    for k in range(5):
        own = ReconstructionLoss().to(targets[k : k + 1], through=measure.of(torch.tensor([k])))
        alone = search(SPACE, own, start(1), steps=40)
        torch.testing.assert_close(alone.images[0], together.images[k], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(alone.trace[:, 0], together.trace[:, k], rtol=1e-9, atol=1e-9)


def test_a_step_has_the_length_of_rate_times_unit() -> None:
    """The first step of Adam is its rate, whatever the gradient."""
    found = search(SPACE, ReconstructionLoss().to(noise(2)), start(2), steps=1, rate=0.01)
    torch.testing.assert_close(
        found.point["code"].abs(), torch.full((2, 12), 0.01, dtype=torch.float64), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(
        found.point["shift"].abs(), torch.full((2, 1), 0.005, dtype=torch.float64), rtol=1e-4, atol=0
    )


def test_the_rate_falls_to_nothing() -> None:
    """Half a cosine over 100 steps: the sum of its factors is 50.5, and the gradient never turns on a slope without end."""
    found = search(SPACE, lambda images: images.sum(dim=(1, 2, 3)), start(1), steps=100, rate=0.01)
    assert float(found.point["shift"]) == pytest.approx(-0.505 * 0.5, rel=1e-3)


def test_time_is_shared_by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    allowance = Allowance(10.0, 5)
    with allowance.of(1) as first:
        clock[0] += 6.0
    with allowance.of(2) as second:
        clock[0] += 1.0
    with allowance.of(1) as third:
        clock[0] += 5.0
    with allowance.of(1) as late:
        pass
    monkeypatch.undo()
    assert (first, second, third) == (2.0, 2.0, 1.5)
    assert late == 1e-9, "it has a step"
    with Allowance(None, 5).of(1) as unbounded:
        assert unbounded is None


def test_seconds_end_it_within_a_step() -> None:
    slow = 0.03

    def loss(images: torch.Tensor) -> torch.Tensor:
        time.sleep(slow)
        return images.square().mean(dim=(1, 2, 3))

    begin = SPACE.at(torch.ones(2, 12, dtype=torch.float64))
    found = search(SPACE, loss, begin, steps=10_000, seconds=0.3)
    assert 2 <= len(found.trace) <= 11
    assert 0.3 <= found.seconds < 0.3 + 2 * slow + 0.2, "a step over the time, and the loss at the end"
    changes = (found.trace[1:] - found.trace[:-1]).abs().sum(dim=1)
    assert changes[-1] < changes[0] / 2, "by the clock the rate has fallen"
    few = search(SPACE, loss, begin, steps=2, seconds=100.0)
    assert len(few.trace) == 2
    assert few.seconds < 1
    assert len(search(SPACE, loss, begin, steps=5, seconds=1e-9).trace) == 1


def test_time_that_does_not_run_out_changes_nothing() -> None:
    loss = ReconstructionLoss().to(noise(2))
    free, timed = (search(SPACE, loss, start(2), steps=30, seconds=seconds) for seconds in (None, 1e6))
    torch.testing.assert_close(timed.images, free.images, rtol=1e-12, atol=1e-12)


def test_the_nearest_is_that_of_brute_force() -> None:
    drawn, targets = noise(7), noise(5, seed=1)
    order = torch.cdist(targets.flatten(1), drawn.flatten(1)).argsort(dim=1)
    assert torch.equal(nearest(drawn, targets, through=Whole()), order[:, :1])
    assert torch.equal(nearest(drawn, targets, through=Whole(), count=3), order[:, :3])
    known = torch.zeros(5, 1, 3, 4, dtype=torch.bool)
    known[:, :, 1] = True
    expected = torch.cdist(targets[:, 0, 1], drawn[:, 0, 1]).argmin(dim=1, keepdim=True)
    hidden = torch.where(known, targets, float("nan"))
    assert torch.equal(nearest(drawn, hidden, through=Masked(known)), expected)


def test_a_watched_search_ends_at_the_best_step_of_each_image() -> None:
    """By hand over the steps: what it watches is least elsewhere than what it goes down."""
    targets, others = noise(4), noise(4, seed=1)
    loss, watch = (ReconstructionLoss().to(images) for images in (targets, others))
    seen: list[torch.Tensor] = []

    def both(images: torch.Tensor) -> torch.Tensor:
        seen.append(watch(images).detach())
        return loss(images)

    found = search(SPACE, both, start(4), steps=15, watch=watch)
    plain = search(SPACE, loss, start(4), steps=15)
    least = torch.stack([*seen[:-1], watch(plain.images)]).amin(dim=0)
    torch.testing.assert_close(watch(found.images), least, rtol=1e-12, atol=0)
    assert (watch(plain.images) > least * 1.01).any(), "the last step is not the best of them"
    torch.testing.assert_close(found.trace, plain.trace, rtol=0, atol=0)


def test_settings_of_a_space_are_its_own() -> None:
    assert space_with(LinearSpace, {"dimensions": 3}, dtype=torch.float32).basis.shape == (3, 1, 3, 4)
    assert space_with(LinearSpace, None).basis.shape == (12, 1, 3, 4)
    for name in ("dtype", "size"):
        with pytest.raises(ValueError, match=f"this space has no setting {name}: it takes dimensions"):
            space_with(LinearSpace, {name: 3}, dtype=torch.float32)


def test_bad_input() -> None:
    loss = ReconstructionLoss().to(noise(1))
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        search(SPACE, loss, start(1), steps=0)
    with pytest.raises(ValueError, match="rate must be positive and finite, got 0"):
        search(SPACE, loss, start(1), steps=1, rate=0.0)
    with pytest.raises(ValueError, match="seconds must be positive and finite, got -1"):
        search(SPACE, loss, start(1), steps=1, seconds=-1)
