"""Tables of probabilities and the range coder: masses by closed form, round trips, and bytes that must never change."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import sys

import numpy as np
import pytest

from generative.codec.entropy import (
    NUM_SCALES,
    NUM_TABLES,
    TOTAL,
    best_code,
    bits,
    decode,
    encode,
    range_coder,
    scale_of,
    split,
    table,
    table_of,
)

needs_package = pytest.mark.skipif(importlib.util.find_spec("constriction") is None, reason="needs the extra [codec]")
TABLES = "88ad75508747628f"  # files that were written hang on these counts
WRITTEN = bytes.fromhex("0ca203862dc1b2fbe2e01dd283e80dfa6756c34cc37797db45d9735887")


def laplacian(scale: float, count: int, *, seed: int = 0) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).laplace(scale=scale, size=count)).astype(np.int64)


def test_tables_never_change() -> None:
    digest = hashlib.sha256()
    for code in range(NUM_TABLES):
        digest.update(table(code).astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == TABLES


@pytest.mark.parametrize("code", [0, 40, 80, 130, NUM_TABLES - 1])
def test_a_table_holds_the_masses_of_a_laplacian(code: int) -> None:
    counts, scale = table(code), scale_of(code)
    reach = len(counts) // 2 - 1
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    assert np.array_equal(counts[:-1], counts[-2::-1]), "symmetric"
    edges = np.arange(reach + 1) + 0.5
    inside = 1.0 - np.exp(-edges / scale)  # P(|x| < edge)
    masses = np.concatenate([inside[:1], np.diff(inside) / 2])
    spare = TOTAL - len(counts)
    expected = 1 + spare * masses
    assert np.abs(counts[reach : 2 * reach + 1] - expected)[1:].max() <= 1.0
    assert counts[reach] == pytest.approx(expected[0], abs=2 * reach + 2), "the middle takes what rounding leaves"


def test_large_scales_take_a_smaller_table_and_bits_as_they_are() -> None:
    assert table_of(NUM_TABLES - 1) == (pytest.approx(table(NUM_TABLES - 1)), 0)
    for code in (NUM_TABLES, 200, NUM_SCALES - 1):
        counts, shift = table_of(code)
        own = NUM_TABLES - 16 + code % 16
        assert np.array_equal(counts, table(own))
        assert scale_of(code) == pytest.approx(scale_of(own) * 2**shift)
        values = np.arange(-(2**shift), 2**shift)
        _, upper, lowest = split(values, code)
        assert np.array_equal((upper << shift) + lowest - 2 ** (shift - 1), values)
        assert set(lowest) == set(range(2**shift))
    for code in (-1, NUM_SCALES):
        with pytest.raises(ValueError, match=rf"no scale code {code}: codes go from 0 to 255"):
            table_of(code)


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0, 100.0, 2000.0])
def test_the_best_code_is_that_of_the_scale_and_takes_the_entropy(scale: float) -> None:
    values = laplacian(scale, 20_000)
    code = best_code(values)
    assert bits(values, code) == pytest.approx(min(bits(values, other) for other in range(NUM_SCALES)), rel=1e-5)
    if scale >= 1:
        assert scale_of(code) == pytest.approx(scale, rel=0.1)
    edges = np.exp(-(np.arange(20 * scale + 2) + 0.5) / scale) / 2
    masses = np.concatenate([[1 - 2 * edges[0]], *[(edges[:-1] - edges[1:])] * 2])
    entropy = float(-(masses * np.log2(np.maximum(masses, 1e-300))).sum())
    assert bits(values, code) / len(values) == pytest.approx(entropy, abs=0.03)


@needs_package
def test_a_round_trip_takes_what_the_tables_say() -> None:
    groups = [laplacian(scale, 500, seed=place) for place, scale in enumerate((0.05, 0.7, 3.0, 1500.0))]
    codes = [best_code(values) for values in groups]
    content = encode(groups, codes)
    found = decode(content, [500] * 4, codes)
    assert all(np.array_equal(a, b) for a, b in zip(found, groups, strict=True))
    told = sum(bits(values, code) for values, code in zip(groups, codes, strict=True))
    assert told / 8 - 1 <= len(content) <= 1.001 * told / 8 + 1


@needs_package
@pytest.mark.parametrize("value", [2**31 - 1, -(2**31) + 1, 65_536, -1_000])
def test_values_beyond_the_table_come_back(value: int) -> None:
    values = np.array([0, value, 1, -1, value, 0])
    assert split(values, 10)[0][1] == len(table(10)) - 1
    found = decode(encode([values] * 3, [10, 40, 170]), [6] * 3, [10, 40, 170])
    assert all(np.array_equal(matrix, values) for matrix in found)
    assert bits(values, 10) > 64


@needs_package
def test_bytes_never_change() -> None:
    """Files that were written must be read by what comes later, whatever the package does."""
    groups = [np.array([7 * i * i % 11 - 5 for i in range(40)]), np.array([0, 5000, -3])]
    assert encode(groups, [80, 30]) == WRITTEN
    assert all(np.array_equal(a, b) for a, b in zip(decode(WRITTEN, [40, 3], [80, 30]), groups, strict=True))
    assert len(encode([np.zeros(100, dtype=np.int64)], [0])) <= 1, "zeros take next to nothing"


@needs_package
def test_what_does_not_fit_and_what_no_encoder_makes() -> None:
    with pytest.raises(ValueError, match="2147483648 takes more than 32 bits: use coarser steps"):
        encode([np.array([2**31])], [0])
    with pytest.raises(ValueError, match="damaged"):
        decode(b"\xff" * 16, [200], [0])


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(ValueError, match=r'constriction.*pip install -e "\.\[codec\]"'):
        range_coder()


def test_scales_are_sixteenths_of_octaves() -> None:
    assert [scale_of(code) for code in (0, 64, 80)] == [1 / 16, 1.0, 2.0]
    assert math.log2(scale_of(65)) == pytest.approx(1 / 16)
