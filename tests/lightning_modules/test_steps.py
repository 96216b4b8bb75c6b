"""Clipping, records and scalers on the smallest method there is: a line through numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks.budget import NonFiniteError, NonFiniteGuard
from generative.accumulation import parts
from launch.quiet import quiet
from lightning_modules.base import Method

SLOPE = 10.0  # of the data: gradients far above the limits of the tests, and within float16 with its factor


class Line(Method):
    """One weight a pixel; ``scale`` multiplies the loss."""

    def __init__(self, *, scale: float = 1.0, **settings: Any) -> None:
        super().__init__(image_shape=(1, 2, 2), num_classes=0, seed=0, **settings)
        torch.manual_seed(0)
        self.line = nn.Linear(4, 1)
        self.scale = scale

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.line.parameters(), lr=1.0)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()  # type: ignore[union-attr]
        for part in parts(batch, self.accumulate):
            loss = self.scale * self.loss(part["image"])
            self.manual_backward(loss / self.accumulate)
            self.record({"loss/square": loss})
        optimizer.step()  # type: ignore[union-attr]
        self.count_images(batch["image"])

    def loss(self, images: Tensor) -> Tensor:
        return (
            (self.line(images.flatten(1)) - SLOPE * images.flatten(1).sum(dim=1, keepdim=True)).float().square().mean()
        )


def batch() -> dict[str, Any]:
    return {"image": torch.rand(8, 1, 2, 2, generator=torch.Generator().manual_seed(1)), "first_number": 0}


def train(method: Line, *, plugins: list[Any] | None = None, callbacks: list[Callback] | None = None) -> Line:
    """One step."""
    quiet()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=plugins,
        callbacks=callbacks,
    )
    trainer.fit(method, DataLoader([batch()], batch_size=None))
    return method


def scaler(initial: float, precision: str = "16-mixed") -> list[Any]:
    """The scaler of float16, which a GPU has, on the CPU."""
    return [MixedPrecision(precision, "cpu", torch.amp.GradScaler("cpu", init_scale=initial))]  # type: ignore[arg-type]


def clipped_by_torch(limit: float) -> tuple[dict[str, Tensor], Tensor]:
    """Weights after one step with :func:`torch.nn.utils.clip_grad_norm_`, and the norm before it."""
    expected = Line()
    expected.loss(batch()["image"]).backward()
    norm = nn.utils.clip_grad_norm_(expected.line.parameters(), limit)
    with torch.no_grad():
        for parameter in expected.line.parameters():
            assert parameter.grad is not None
            parameter -= parameter.grad
    return expected.state_dict(), norm


@pytest.mark.parametrize("limit", [0.5, 1e9])
def test_clipping_is_that_of_torch_and_the_norm_before_it_is_recorded(limit: float) -> None:
    method = train(Line(clip_norm=limit))
    expected, norm = clipped_by_torch(limit)
    for name, value in expected.items():
        torch.testing.assert_close(method.state_dict()[name], value, rtol=1e-6, atol=1e-6)
    assert float(method.losses["score/gradient_norm_line"]) == pytest.approx(float(norm), rel=1e-6)
    assert (limit < float(norm)) == (limit == 0.5)


def test_without_a_limit_no_norm_is_taken() -> None:
    assert train(Line()).losses.keys() == {"loss/square"}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_clipping_acts_on_gradients_without_the_scalers_factor(accumulate: int) -> None:
    """A limit on the scaled ones would leave a step 1,024 times too small."""
    expected, norm = clipped_by_torch(0.5)
    method = train(Line(clip_norm=0.5, accumulate=accumulate), plugins=scaler(1024.0))
    for name, value in expected.items():
        torch.testing.assert_close(method.state_dict()[name], value, rtol=0.0, atol=5e-3)  # float16
    assert float(method.losses["score/gradient_norm_line"]) == pytest.approx(float(norm), rel=1e-2)


def test_a_scaler_may_skip_a_step_and_a_run_that_diverges_ends() -> None:
    """Too large a factor is the scaler's business; the guard ends a run that is not finite at any."""
    plugins = scaler(2.0**126)
    method = Line(clip_norm=0.5)
    before = method.line.weight.detach().clone()
    train(method, plugins=plugins, callbacks=[NonFiniteGuard()])
    assert torch.equal(method.line.weight, before), "the step was skipped"
    assert plugins[0].scaler.get_scale() == 2.0**125
    with pytest.raises(NonFiniteError, match=r"the gradient of line\.\w+ is not finite"):
        train(Line(scale=3e38), plugins=scaler(1.0), callbacks=[NonFiniteGuard()])
    with pytest.raises(NonFiniteError, match=r"the gradient of line\.\w+ is not finite"):
        train(Line(scale=3e38), callbacks=[NonFiniteGuard()])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_no_value_that_is_not_finite_passes_the_guard(where: str, bad: float) -> None:
    """Neither a loss beside a good gradient, nor one number of a gradient beside a good loss."""

    class Spoilt(Line):
        def record(self, losses: dict[str, Tensor]) -> None:
            super().record({"loss/square": torch.tensor(bad)} if where == "loss" else losses)

        def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
            super().manual_backward(loss, *args, **kwargs)
            if where == "gradient":
                assert self.line.weight.grad is not None
                self.line.weight.grad[0, 2] = bad

    message = f"loss/square = {bad} at step 1" if where == "loss" else r"the gradient of line\.weight is not finite"
    with pytest.raises(NonFiniteError, match=message):
        train(Spoilt(), callbacks=[NonFiniteGuard()])
    assert train(Line(), callbacks=[NonFiniteGuard()]).images_seen == 8


def test_the_records_of_a_step_are_means_over_its_parts() -> None:
    whole, two = train(Line()), train(Line(accumulate=2))
    assert float(two.losses["loss/square"]) == pytest.approx(float(whole.losses["loss/square"]), rel=1e-6)
    assert two.images_seen == whole.images_seen == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"clip_norm": -1.0}, "clip_norm must be at least 0, got -1.0"),
    ],
)
def test_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Line(**settings)
