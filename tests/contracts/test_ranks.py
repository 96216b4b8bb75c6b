"""Every method: two ranks learn what one learns, parts of a batch what the whole does, in every precision."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from generative.adversarial import losses as adversarial_losses
from launch.compose import group_options
from lightning_modules.base import Method
from tests.support.ranks import Outcome, fit, keep, on_ranks, outcomes

METHODS = group_options("method")
STEPS = 20
# In float32, where another order of a sum rounds otherwise, Adam divides small gradients by their own size and a value may
# end on the other side of a ReLU's kink: after ten steps the same training is another one. After five two ranks differ
# by 1e-5 at most, over eight seeds and two kinds of kernels; after twenty by 1e-3 in hundreds of weights on an AMD EPYC.
FEW_STEPS = 5
BATCH = ("datamodule.batch_size=16",)
LARGE_BATCH = ("datamodule.batch_size=32",)
CLIPPED = (*LARGE_BATCH, "+method.clip_norm=0.05")
# Which boxes enter a detector's loss hangs on the order of their scores: measured over five steps within 13 %.
CHOSEN = 0.3
# What two methods of a folder share is tried by one of them: `defects_cycle` has these ones' loop, and a second generator.
SIBLINGS = ("defects_refiner", "defects_filler", "defects_style_transfer")
QUICK = [pytest.param(name, marks=pytest.mark.soak) if name in SIBLINGS else name for name in METHODS]
TOLERANCES = {"64-true": 1e-9, "32-true": 1e-4}


def fits_of_a_rank(rank: int, method: str, folder: Path) -> None:
    for name, settings in {
        "double": {"num_steps": STEPS, "overrides": BATCH},
        "single": {"num_steps": FEW_STEPS, "overrides": BATCH, "precision": "32-true"},
        "parts": {"num_steps": 3, "overrides": (*CLIPPED, "+method.accumulate=2")},
    }.items():
        overrides: Any = settings.pop("overrides")
        outcome, *_ = fit(f"method={method}", *overrides, num_ranks=2, **settings)  # type: ignore[arg-type]
        keep(outcome, folder, rank, name)


def check_same(ours: Outcome, theirs: Outcome, *, tolerance: float) -> None:
    assert ours.weights.keys() == theirs.weights.keys()
    for name, value in theirs.weights.items():
        torch.testing.assert_close(ours.weights[name], value, rtol=tolerance, atol=tolerance, msg=name)


def check_equal(first: Outcome, second: Outcome) -> None:
    """To the bit: weights, averages, buffers and moments."""
    assert len(first.moments) == len(second.moments) > 0
    assert all(torch.equal(a, b) for a, b in zip(first.moments, second.moments, strict=True))
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name]), f"ranks differ in {name}"


def check_losses(ranks: list[Outcome], one: Outcome, *, tolerance: float) -> None:
    """The mean over ranks is what one rank records; norms before clipping are on all ranks that of the whole."""
    for *parts, whole in zip(*(rank.losses for rank in ranks), one.losses, strict=True):
        assert all(part.keys() == whole.keys() for part in parts)
        for name, value in whole.items():
            mean = sum(part[name] for part in parts) / len(parts)
            assert mean == pytest.approx(value, rel=tolerance, abs=tolerance), name


@pytest.mark.parametrize("method", QUICK)
def test_two_ranks_learn_what_one_does(method: str, tmp_path: Path) -> None:
    processes = on_ranks(2, fits_of_a_rank, method, tmp_path)
    whole, *_ = fit(f"method={method}", *BATCH, num_steps=STEPS)
    single, *_ = fit(f"method={method}", *BATCH, num_steps=FEW_STEPS, precision="32-true")
    clipped, *_ = fit(f"method={method}", *CLIPPED, num_steps=3)
    while not processes.join():
        pass
    for name, one in {"double": whole, "single": single, "parts": clipped}.items():
        ranks = outcomes(tmp_path, 2, name)
        check_equal(*ranks)
        tolerance = TOLERANCES["32-true" if name == "single" else "64-true"]
        check_same(ranks[0], one, tolerance=tolerance)
        if name != "single":
            check_losses(ranks, one, tolerance=tolerance)
        for part, of_all in [("numbers", one.numbers), ("draws", one.draws)]:
            first, second = (getattr(rank, part) for rank in ranks)
            assert first.isdisjoint(second), f"both ranks have the same {part}"
            assert first | second == of_all
    assert all(value.dtype == torch.float64 for value in whole.weights.values() if value.is_floating_point())
    norms = [value for name, value in clipped.losses[0].items() if name.startswith("score/gradient_norm_")]
    assert norms
    assert max(norms) > 0.05, "nothing was clipped: the test shows nothing"


class Activations:
    """Bytes that the graphs of a fit keep for their backward passes, but for the weights themselves."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def pack(self, tensor: Tensor) -> Any:
        if tensor.is_leaf and tensor.requires_grad:
            return tensor

        class Kept:
            def __init__(self) -> None:
                self.tensor = tensor

        kept = Kept()
        self.change(tensor.nbytes)
        weakref.finalize(kept, self.change, -tensor.nbytes)
        return kept

    def change(self, num_bytes: int) -> None:
        self.now += num_bytes
        self.peak = max(self.peak, self.now)

    @staticmethod
    def unpack(kept: Any) -> Tensor:
        return kept if isinstance(kept, Tensor) else kept.tensor


def peak_activations(run: Callable[[], Any]) -> tuple[Any, int]:
    activations = Activations()
    with torch.autograd.graph.saved_tensors_hooks(activations.pack, activations.unpack):
        result = run()
    return result, activations.peak


@pytest.mark.parametrize("method", METHODS)
def test_parts_add_up_to_the_whole_in_less_memory(method: str) -> None:
    def run(*overrides: str) -> Outcome:
        return fit(f"method={method}", *LARGE_BATCH, *overrides, num_steps=3)[0]

    whole, memory_of_whole = peak_activations(run)
    parts, memory_of_parts = peak_activations(lambda: run("+method.accumulate=4"))
    check_same(parts, whole, tolerance=1e-9)
    check_losses([parts], whole, tolerance=1e-9)
    assert parts.numbers == whole.numbers
    assert parts.draws == whole.draws
    assert (whole.largest_batch, parts.largest_batch) == (32, 8)
    assert memory_of_parts < 0.5 * memory_of_whole
    with pytest.raises(ValueError, match=r"the 32 images .* cannot be cut into 5 equal parts"):
        run("+method.accumulate=5")


@pytest.fixture
def loss_inputs(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, torch.dtype]]:
    """(function, type of a floating point input) of what losses and penalties were given."""
    seen: set[tuple[str, torch.dtype]] = set()

    def watch(module: Any, name: str) -> None:
        original = getattr(module, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            seen.update((name, value.dtype) for value in tensors if value.is_floating_point())
            assert name not in ("grad", "backward") or not torch.is_autocast_enabled("cpu"), "derivatives are rounded"
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, watched)

    for name in (
        "cross_entropy",
        "binary_cross_entropy_with_logits",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "kl_div",
    ):
        watch(F, name)
    for name in vars(adversarial_losses):
        if name.endswith(("_discriminator", "_generator")):
            watch(adversarial_losses, name)
    watch(torch.autograd, "grad")  # of penalties
    watch(torch.autograd, "backward")
    return seen


@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_trains_with_losses_in_float32(method: str, loss_inputs: set[tuple[str, torch.dtype]]) -> None:
    mixed, trained, _ = fit(f"method={method}", *BATCH, num_steps=STEPS, precision="bf16-mixed")
    assert loss_inputs
    assert {dtype for _, dtype in loss_inputs} == {torch.float32}, loss_inputs
    assert all(value.dtype == torch.float32 for value in mixed.weights.values() if value.is_floating_point())
    assert all(value.dtype == torch.float32 for value in trained.losses.values())
    for step in mixed.losses:
        assert all(math.isfinite(value) for value in step.values())
    single, *_ = fit(f"method={method}", *BATCH, num_steps=3, precision="32-true")
    assert mixed.losses[:3] != single.losses, "nothing ran in bfloat16"
    # Measured over three seeds: within 1 % for three steps, 3 % for five and 27 % for eight, of a GAN, whose steps part ways
    # sooner than a classifier's.
    for name in {name for step in single.losses[:3] for name in step if name.startswith("loss/")}:
        ours, theirs = ([step[name] for step in fitted.losses[:3] if name in step] for fitted in (mixed, single))
        assert ours == pytest.approx(theirs, rel=CHOSEN if method == "detector" else 0.03), name


@pytest.mark.parametrize("method", QUICK)
def test_a_float64_run_resumes_to_the_same_bits(
    method: str,
    small_run: Callable[..., tuple[Path, dict[str, float]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With every callback, the metrics and the test stage; weights rounded to float32 on the way would differ."""
    settings = (f"method={method}", "trainer.precision=64-true", "max_kimg=0.032", "save_every_kimg=0.016")
    whole, metrics = small_run(*settings, run_dir=tmp_path / "whole")
    assert metrics
    assert all(math.isfinite(value) for value in metrics.values())
    count_images = Method.count_images

    def dies(self: Method, images: Tensor) -> None:
        if self.images_seen == 16:
            raise RuntimeError("killed")
        count_images(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(Method, "count_images", dies)
        with pytest.raises(RuntimeError, match="killed"):
            small_run(*settings)
    resumed, _ = small_run(*settings, "resume=auto")
    ours, theirs = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (resumed, whole)
    )
    assert any(value.dtype == torch.float64 for value in theirs.values())
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
