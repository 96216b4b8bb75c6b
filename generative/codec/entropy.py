"""Whole numbers as bytes and back: a range coder whose probabilities are tables of integers, so that files decode everywhere.

Numbers are taken as Laplacian around 0. A one-byte code names their scale, and with it a table of counts out of 65,536, which
is computed in decimal arithmetic of a stated precision: floating-point tables may differ between machines in the last bit,
and then nothing after it decodes. Of large scales the lowest bits are written as they are, which are as good as even, and the
table is that of a smaller scale. The range coder is that of the package ``constriction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

TOTAL = 2**16  # of the counts of a table
NUM_SCALES = 256  # codes 0 .. 255: scales from 1/16 to 3923
CODES_PER_OCTAVE = 16
NUM_TABLES = 144  # the first code without a table of its own, of scale 32: its values are halved, by their lowest bit
TAILS = 11  # scales on either side that a table reaches: e^-11 of the values lie outside
PRECISION = 40  # decimal digits
HALF_WORD = 2**16  # a value beyond its table follows as two of these
OFFSET = 2**31
WORD = 4  # bytes
REMEDY = 'pip install -e ".[codec]"'


def range_coder() -> ModuleType:
    """The package's coders of streams; ValueError with the remedy where it is missing."""
    try:
        import constriction
    except ImportError as error:
        raise ValueError(f"the codec needs the package constriction ({error}): {REMEDY}") from error
    return constriction.stream


def scale_of(code: int) -> float:
    """The mean absolute value that a code stands for: 2^(code / 16 - 4), to a 16th of an octave."""
    return 2.0 ** (code / CODES_PER_OCTAVE - 4)


@cache
def table(code: int) -> np.ndarray:
    """The counts of the values -reach .. reach and, last, of all others together: int64 [2 reach + 2], whose sum is 65,536.

    A value k has the Laplacian's mass between k - 1/2 and k + 1/2, and at least a count of 1.
    """
    assert 0 <= code < NUM_TABLES
    with localcontext(prec=PRECISION):
        inverse = Decimal(2) ** (4 - Decimal(code) / CODES_PER_OCTAVE)
        reach = int((TAILS / inverse).to_integral_value(ROUND_CEILING))
        ratio = (-inverse).exp()
        spare = TOTAL - (2 * reach + 2)
        mass = (1 - ratio) * (inverse / 2).exp() / 2  # of k = 0 by the formula of the others
        side = []
        for _ in range(reach):
            mass *= ratio
            side.append(1 + int(spare * mass))
        rest = 1 + int(spare * (inverse / 2 - inverse * (reach + 1)).exp())
    centre = TOTAL - 2 * sum(side) - rest
    assert centre >= 1
    return np.array([*reversed(side), centre, *side, rest], dtype=np.int64)


def table_of(code: int) -> tuple[np.ndarray, int]:
    """The table of any code, and how many of the lowest bits of a value are written beside it."""
    if not 0 <= code < NUM_SCALES:
        raise ValueError(f"there is no scale code {code}: codes go from 0 to {NUM_SCALES - 1}")
    shift = max(0, (code - NUM_TABLES) // CODES_PER_OCTAVE + 1)
    return table(code - shift * CODES_PER_OCTAVE), shift


def split(values: np.ndarray, code: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``values`` by a code: places in its table, the last of which stands for all beyond it; upper parts; lowest bits.

    value = upper 2^shift + lowest - half, where half, of 2^shift, keeps the middle upper part around 0.
    """
    counts, shift = table_of(code)
    reach = len(counts) // 2 - 1
    moved = values.astype(np.int64) + (1 << shift >> 1)
    upper, lowest = moved >> shift, moved & ((1 << shift) - 1)
    places = np.where(np.abs(upper) <= reach, upper + reach, 2 * reach + 1)
    return places, upper, lowest


def bits(values: np.ndarray, code: int) -> float:
    """What ``values`` take by the table of a code, in bits, by its probabilities."""
    counts, shift = table_of(code)
    found = np.bincount(split(values, code)[0], minlength=len(counts))
    return float(found @ (np.log2(TOTAL) - np.log2(counts)) + 32 * found[-1] + shift * len(values))


def best_code(values: np.ndarray) -> int:
    """The code that ``values`` take the fewest bits by, found from the scale of their mean on.

    A Laplacian of scale b, rounded, has the mean absolute value 1 / (2 sinh(1 / (2 b))).
    """
    mean = max(float(np.abs(values).mean()), 1e-6)
    code = round((-np.log2(2.0 * np.arcsinh(0.5 / mean)) + 4) * CODES_PER_OCTAVE)
    code, last = min(max(code, 0), NUM_SCALES - 1), -1
    while code != last:
        last = code
        near = range(max(code - 2, 0), min(code + 3, NUM_SCALES))
        code = min(near, key=lambda other: (bits(values, other), abs(other - last)))
    return code


def model_of(counts: np.ndarray) -> Any:
    """The range coder's model of a table. The counts are exact in its arithmetic, and so are their sums."""
    return range_coder().model.Categorical((counts / TOTAL).astype(np.float32), perfect=False)


def encode(groups: Sequence[np.ndarray], codes: Sequence[int]) -> bytes:
    """``groups`` of whole numbers, each by the table of its code, as bytes; values beyond a table follow their group.

    They are decoded again and compared before they are returned. ValueError for numbers that 32 bits do not hold.
    """
    coder = range_coder()
    encoder = coder.queue.RangeEncoder()
    for values, code in zip(groups, codes, strict=True):
        if len(values) and int(np.abs(values).max()) >= 2**31:
            raise ValueError(f"{np.abs(values).max()} takes more than 32 bits: use coarser steps")
        counts, shift = table_of(code)
        places, upper, lowest = split(values, code)
        encoder.encode(places.astype(np.int32), model_of(counts))
        beyond = upper[places == len(counts) - 1] + OFFSET
        if len(beyond):
            halves = np.stack([beyond // HALF_WORD, beyond % HALF_WORD], axis=1)
            encoder.encode(halves.ravel().astype(np.int32), coder.model.Uniform(HALF_WORD))
        if shift and len(values):
            encoder.encode(lowest.astype(np.int32), coder.model.Uniform(1 << shift))
    return shortest(encoder.get_compressed().astype(">u4").tobytes(), groups, codes)


def shortest(content: bytes, groups: Sequence[np.ndarray], codes: Sequence[int]) -> bytes:
    """The fewest bytes that decode as ``content`` does, to ``groups``.

    The coder ends on a whole word, but any number between its last bounds would do, and zeros at the end need no bytes.
    """
    for length in range(max(len(content) - 2 * WORD, 0), len(content) + 1):
        start = content[:length]
        following = int.from_bytes(start, "big") + 1
        candidates = [start, following.to_bytes(length, "big")] if following < 256**length else [start]
        for candidate in candidates:
            if decodes_to(candidate, groups, codes):
                return candidate
    raise AssertionError("coded numbers do not decode to what they were")


def decodes_to(content: bytes, groups: Sequence[np.ndarray], codes: Sequence[int]) -> bool:
    try:
        found = decode(content, [len(values) for values in groups], codes)
    except ValueError:
        return False
    return all(np.array_equal(a, b) for a, b in zip(found, groups, strict=True))


def decode(content: bytes, counts: Sequence[int], codes: Sequence[int]) -> list[np.ndarray]:
    """What :func:`encode` was given, int64, of groups of so many numbers; ValueError where the bytes are none of its making."""
    coder = range_coder()
    padded = content + bytes(2 * WORD - len(content) % WORD)  # with the zeros that were left out at the end
    decoder = coder.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
    groups = []
    try:
        for count, code in zip(counts, codes, strict=True):
            groups.append(decoded_group(decoder, count, code))
    except AssertionError as error:  # what the package says of bytes that no encoder makes
        raise ValueError("the coded numbers were damaged: no encoder writes such bytes") from error
    return groups


def decoded_group(decoder: Any, count: int, code: int) -> np.ndarray:
    """The next ``count`` values, int64."""
    uniform = range_coder().model.Uniform
    counts, shift = table_of(code)
    places = decoder.decode(model_of(counts), count).astype(np.int64)
    upper = places - (len(counts) // 2 - 1)
    beyond = places == len(counts) - 1
    if beyond.any():
        halves = decoder.decode(uniform(HALF_WORD), 2 * int(beyond.sum())).astype(np.int64)
        upper[beyond] = halves[::2] * HALF_WORD + halves[1::2] - OFFSET
    if not (shift and count):
        return upper
    lowest = decoder.decode(uniform(1 << shift), count).astype(np.int64)
    return (upper << shift) + lowest - (1 << shift >> 1)
