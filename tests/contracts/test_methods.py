"""What every method must do, found on disk and trained for two batches each."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.optim import Optimizer

from launch.build import build
from launch.checkpoint import AtomicCheckpointIO, load_method
from launch.compose import compose, group_options, plain
from lightning_modules.base import Classifies, Draws, Method
from tests.support.data_choice import data_for

METHODS = group_options("method")
BATCH = 16


def fit(
    name: str, *, num_batches: int = 2, callbacks: list[Callback] | None = None, seed: int = 0
) -> tuple[Trainer, Method]:
    overrides = [f"method={name}", data_for(f"method={name}"), f"datamodule.batch_size={BATCH}", f"seed={seed}"]
    config = plain(compose("train", ["experiment=none", "run_dir=run", *overrides]))
    torch.manual_seed(seed)
    datamodule, method = build(config)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        limit_train_batches=num_batches,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[*(callbacks or []), StopAfter(num_batches)],
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(method, datamodule)
    return trainer, method


class StopAfter(Callback):
    def __init__(self, num_batches: int) -> None:
        self.num_batches = num_batches

    def on_train_batch_end(self, trainer: Trainer, method: Method, outputs: Any, batch: Any, index: int) -> None:  # type: ignore[override]
        trainer.should_stop = index + 1 >= self.num_batches


def test_something_was_found() -> None:
    assert "poly_inr" in METHODS


@pytest.mark.parametrize("name", METHODS)
def test_fits_and_counts_images(name: str) -> None:
    _, method = fit(name)
    assert method.images_seen == 2 * BATCH
    assert method.losses, "a training step records its losses"
    for key, value in method.losses.items():
        assert key.split("/")[0] in {"loss", "penalty", "score"}
        assert value.ndim == 0
        assert not value.requires_grad
        assert torch.isfinite(value)


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_weights(name: str) -> None:
    first, second, other = (fit(name, seed=seed)[1].state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", METHODS)
def test_samples_are_functions_of_their_number(name: str) -> None:
    _, method = fit(name)
    if not isinstance(method, Draws):
        pytest.skip("not a generator")
    method.eval()
    state = torch.get_rng_state()
    all_at_once = method.sample(0, 6, seed=5)
    assert torch.equal(torch.get_rng_state(), state), "sampling moved the global random state"
    assert all_at_once.shape == (6, *method.image_shape)
    assert torch.equal(all_at_once, method.sample(0, 6, seed=5))
    in_parts = torch.cat([method.sample(0, 2, seed=5), method.sample(2, 4, seed=5)])
    # Other batch shapes may sum in another order.
    torch.testing.assert_close(all_at_once, in_parts, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(all_at_once, method.sample(0, 6, seed=6))
    if method.num_classes > 0:
        classes = [method.num_classes - 1, 0]
        assert torch.equal(
            method.sample(0, 2, seed=5, labels=classes), method.sample(0, 2, seed=5, labels=torch.tensor(classes))
        )
        with pytest.raises(ValueError, match="labels must be of 3 images, one each, got 2"):
            method.sample(0, 3, seed=5, labels=classes)
        with pytest.raises(ValueError, match=r"labels must be a list of whole numbers, got \[0\.5\]"):
            method.sample(0, 1, seed=5, labels=[0.5])


@pytest.mark.parametrize("name", METHODS)
def test_checkpoint_round_trip(name: str, tmp_path: Path) -> None:
    trainer, method = fit(name)
    path = tmp_path / "checkpoint.ckpt"
    trainer.save_checkpoint(path)
    loaded, _ = load_method(str(path))
    assert loaded.images_seen == method.images_seen
    assert loaded.run_config == method.run_config
    saved, read = method.state_dict(), loaded.state_dict()
    assert saved.keys() == read.keys()
    assert all(torch.equal(saved[key], read[key]) for key in saved)
    if isinstance(method, Draws) and isinstance(loaded, Draws):
        assert torch.equal(method.eval().sample(0, 4, seed=0), loaded.sample(0, 4, seed=0))


def built(name: str) -> Method:
    """Untrained."""
    config = plain(compose("train", ["experiment=none", "run_dir=run", f"method={name}", data_for(f"method={name}")]))
    torch.manual_seed(0)
    datamodule, method = build(config)
    method._trainer = SimpleNamespace(datamodule=datamodule)  # type: ignore[assignment]  # some draw from what they learn from
    return method.eval()


LONGEST_STEP = 20  # lines of code of a training step: which network learns from what, in which order, at one look


def source_of(function: Callable[..., Any]) -> ast.FunctionDef:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def lines_of_code(function: ast.FunctionDef) -> int:
    """Without its docstring, comments and empty lines."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return sum(bool(line) for line in ast.unparse(ast.Module(body, type_ignores=[])).splitlines())


def last_call(function: ast.FunctionDef) -> str:
    last = function.body[-1]
    return ast.unparse(last.value.func) if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) else ""


def missing(kind: type) -> list[str]:
    """What a capability asks for and the class has not: Lightning's classes do not refuse to be made without it."""
    return [name for name in dir(kind) if getattr(getattr(kind, name, None), "__isabstractmethod__", False)]


@pytest.mark.parametrize("name", METHODS)
def test_capabilities_are_whole_and_their_measures_have_directions(name: str) -> None:
    method = built(name)
    assert not missing(type(method))
    directions = type(method).directions()
    assert directions, "a method is judged by what it can"
    assert set(directions.values()) <= {"lower", "higher"}
    assert set(type(method).test_tasks()) <= {"classification", "segmentation", "detection", "likelihood"}


def test_a_capability_that_is_not_whole_is_found() -> None:
    class Half(Draws):
        pass

    assert missing(Half) == ["sample"]


@pytest.mark.parametrize("name", METHODS)
def test_a_training_step_is_short_and_ends_with_the_count(name: str) -> None:
    step = source_of(type(built(name)).training_step)
    assert lines_of_code(step) <= LONGEST_STEP, f"{lines_of_code(step)} lines"
    assert last_call(step) == "self.count_images"


def test_a_step_that_counts_too_early_or_is_long_is_found() -> None:
    def step(self: Any) -> None:
        """Counts, then goes on."""
        self.count_images(1)
        self.move_average()

    assert last_call(source_of(step)) == "self.move_average"
    assert lines_of_code(source_of(step)) == 2


def is_averaged(name: str) -> bool:
    """Whether a parameter or buffer belongs to an average, by its name."""
    return name.startswith("averaged_")


def shown(method: Any) -> Tensor:
    """What the method draws, or says of images."""
    if isinstance(method, Draws):
        return method.sample(0, 4, seed=5)
    images = torch.rand(4, *method.image_shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return method.classify(method.features(images)) if isinstance(method, Classifies) else method(images)


@pytest.mark.parametrize("name", METHODS)
def test_averaged_weights_and_no_others_are_shown(name: str) -> None:
    method = built(name)
    before = shown(method)
    assert any(is_averaged(key) for key, _ in method.named_parameters())
    with torch.no_grad():
        for key, value in method.named_parameters():
            if not is_averaged(key):
                value.fill_(torch.nan)
        assert torch.equal(shown(method), before), "the weights that train have a part in it"
        for key, value in method.named_parameters():
            if is_averaged(key):
                value.mul_(1.5)
        assert not torch.allclose(shown(method), before)


class LateAverage(Callback):
    """Sets the clock far on, where no ramp-up shortens the half-life, and the averages to ones."""

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        method.images_seen = method.images_seen_before = 1_000_000
        for key, parameter in method.named_parameters():
            if is_averaged(key):
                parameter.fill_(1.0)


@pytest.mark.parametrize("name", METHODS)
def test_averages_have_the_half_life_that_is_asked_for(name: str) -> None:
    """One step of 16 images from 1 towards w: 1 / 2 ** (16 / half-life) of the 1 is left."""
    _, method = fit(name, num_batches=1, callbacks=[LateAverage()])
    assert isinstance(method.half_life_images, float | int)
    left = 0.5 ** (BATCH / method.half_life_images)
    weights = dict(method.named_parameters())
    averages = [key for key in weights if is_averaged(key)]
    assert averages
    for key in averages:
        current = weights[key.removeprefix("averaged_")]
        torch.testing.assert_close(weights[key], left + (1 - left) * current, rtol=1e-6, atol=1e-6, msg=key)


class GradientRouting(Callback):
    """At each optimiser's step: only its own parameters have got a gradient since the step before."""

    def __init__(self) -> None:
        self.num_checked = 0

    def on_train_start(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        self.optimizers = trainer.optimizers
        self.snapshot = self.gradients()
        for optimizer in self.optimizers:
            optimizer.register_step_pre_hook(self.check)

    def gradients(self) -> dict[int, Tensor | None]:
        return {
            id(parameter): None if parameter.grad is None else parameter.grad.clone()
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }

    def check(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        now = self.gradients()
        for key, gradient in now.items():
            before = self.snapshot[key]
            if key in own:
                continue
            unchanged = gradient is None or (before is not None and torch.equal(gradient, before))
            assert unchanged, "an update left a gradient in another network"
        assert any(now[key] is not None and bool(now[key].abs().sum() > 0) for key in own), "no gradient arrived"  # type: ignore[union-attr]
        self.snapshot = now
        self.num_checked += 1


@pytest.mark.parametrize("name", METHODS)
def test_gradients_go_where_they_belong(name: str) -> None:
    routing = GradientRouting()
    trainer, method = fit(name, num_batches=3, callbacks=[routing])
    assert routing.num_checked >= 3 * len(trainer.optimizers)  # a step may take several of one network
    trained = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
    for key, parameter in method.named_parameters():
        if id(parameter) not in trained:
            assert parameter.grad is None, f"{key} has a gradient and no optimiser"


@contextmanager
def planted(method_class: type, attribute: str, value: Callable[..., Any]) -> Iterator[None]:
    """A bug, put in for the time of a test: shows that the contract would find it."""
    original = getattr(method_class, attribute)
    setattr(method_class, attribute, value)
    try:
        yield
    finally:
        setattr(method_class, attribute, original)


def test_a_leaking_gradient_is_found() -> None:
    from lightning_modules.poly_inr.module import PolyINR

    @contextmanager
    def no_toggle(self: Method, optimizer: Optimizer) -> Iterator[None]:
        yield

    with planted(PolyINR, "toggled_optimizer", no_toggle), pytest.raises(AssertionError, match="another network"):
        fit("poly_inr", num_batches=3, callbacks=[GradientRouting()])
