"""Steps in quarter octaves; numbers that come back within half a step; rounding that lets gradients through."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generative.codec.quantization import (
    dequantized,
    quantized,
    step_code,
    step_codes,
    step_of,
    straight_through,
)


def test_steps_are_quarters_of_octaves() -> None:
    assert step_of(160) == 1.0
    assert step_of(156) == 0.5
    assert [step_of(code) for code in range(256)] == pytest.approx([2.0 ** (c / 4 - 40) for c in range(256)], rel=1e-7)
    assert [step_code(step_of(code)) for code in range(256)] == list(range(256))
    assert step_code(1e-30) == 0
    assert step_code(1e30) == 255
    assert abs(np.log2(step_of(step_code(0.0371)) / 0.0371)) <= 1 / 8
    for code in (-1, 256):
        with pytest.raises(ValueError, match="codes go from 0 to 255"):
            step_of(code)
    with pytest.raises(ValueError, match="must be greater than 0, got 0"):
        step_code(0.0)


def test_what_is_heard_twice_as_well_has_half_the_step() -> None:
    assert step_codes(1.0, [1.0, 2.0, 0.5, 0.0]) == [160, 156, 164, 255]


def test_numbers_come_back_within_half_a_step() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    for code in (130, 141, 158):
        step = step_of(code)
        found = dequantized(quantized(values, step), step)
        assert found.dtype == np.float32
        assert np.abs(found - values).max() <= step / 2 * (1 + 1e-5)
        assert np.array_equal(quantized(found, step), quantized(values, step)), "rounding again changes nothing"


def test_straight_through_is_what_a_file_holds_and_passes_gradients() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    step = step_of(149)
    found = straight_through(values, step)
    stored = quantized(values.detach().numpy(), step)
    assert np.array_equal(found.detach().numpy(), dequantized(stored, step)), "to the bit"
    (3.0 * found).sum().backward()
    assert torch.equal(values.grad, torch.full((1000,), 3.0))
