"""Numbers to whole multiples of a step and back, the same on every machine; steps by what each number does to an output."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Powers of 2 by quarters, typed: a library's power may differ in the last bit, and with it every decoded number.
QUARTERS = (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)
FIRST_OCTAVE = -40  # code 0 is 2^-40, code 255 nearly 2^24


def step_of(code: int) -> float:
    """The step of a one-byte code, in quarters of an octave, rounded to float32: 2^(code / 4 - 40)."""
    if not 0 <= code < 256:
        raise ValueError(f"there is no step of code {code}: codes go from 0 to 255")
    return float(np.float32(math.ldexp(QUARTERS[code % 4], code // 4 + FIRST_OCTAVE)))


def step_code(step: float) -> int:
    """The code whose step is nearest by ratio, the first or the last for steps beyond them; ValueError unless ``step`` > 0."""
    if not step > 0:
        raise ValueError(f"a step must be greater than 0, got {step}")
    return min(max(round(4 * (math.log2(step) - FIRST_OCTAVE)), 0), 255)


def step_codes(c: float, sensitivities: Sequence[float]) -> list[int]:
    """A code for each group of numbers: of the step c / sensitivity, the root mean squared gradient of an output by one of them.

    So rounding a number of any group costs an output about as much. A group that no output hears has the coarsest step.
    """
    return [step_code(c / sensitivity) if sensitivity > 0 else 255 for sensitivity in sensitivities]


def quantized(values: np.ndarray, step: float) -> np.ndarray:
    """The nearest whole multiples, int64."""
    return np.rint(values.astype(np.float64) / step).astype(np.int64)


def dequantized(numbers: np.ndarray, step: float) -> np.ndarray:
    """``numbers`` times the step, float32: a single rounding, the same everywhere, for numbers below 2^24."""
    return numbers.astype(np.float32) * np.float32(step)


def straight_through(values: Tensor, step: float) -> Tensor:
    """Multiples of ``step`` nearest to ``values``, as :func:`dequantized` gives them; gradients pass as if nothing happened."""
    # By a division in float64, as `quantized` does it, so that both round alike.
    nearest = (values.detach().double() / step).round().to(values.dtype) * torch.tensor(step, dtype=values.dtype)
    return nearest + (values - values.detach())
