"""Rows of the ledger of claims and the numbers in them, read from docs/results."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

DOCS = Path(__file__).resolve().parent
PRECISE = {
    "fd": 3,
    "precision": 3,
    "recall": 3,
    "accuracy": 4,
    "tstr_accuracy": 3,
    "kid": 4,
    "coverage": 3,
    "authenticity": 3,
    "mean_iou": 3,
}
LEAST_SEEDS = 3  # of each side, from which on an order is stated


@dataclass(frozen=True)
class Claim:
    """A row of the ledger."""

    where: str
    says: str
    ours: str
    seeds: str
    hardware: str
    kimg: str
    command: str
    verdict: str


def read_results(experiment: str) -> list[dict[str, Any]]:
    path = DOCS / "results" / f"{experiment}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval over seeds, by Student's t (three seeds: 2.5 standard deviations)."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, math.nan
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))


def difference(larger: list[float], smaller: list[float]) -> tuple[float, float, float]:
    """Difference of two means and its 95 % interval (Welch's): seeds share no more than a number and the order of images."""
    test = stats.ttest_ind(larger, smaller, equal_var=False)
    low, high = test.confidence_interval(0.95)
    return sum(larger) / len(larger) - sum(smaller) / len(smaller), float(low), float(high)


def order(metric: str, better: list[float], worse: list[float], *, lower: bool = False) -> tuple[str, str]:
    """The difference of two arms with its interval, and what that says of the order claimed; ``lower`` is better."""
    if min(len(better), len(worse)) < LEAST_SEEDS:
        return "", f"open: fewer than {LEAST_SEEDS} seeds were trained"
    mean, low, high = difference(better, worse)
    ours = f"{metric} {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f} (Welch)"
    if low <= 0 <= high:
        return ours, "not reproduced at this scale: no order"
    return ours, "reproduced at this scale" if (
        high < 0
    ) == lower else "not reproduced at this scale: the other way round"


def stated(results: list[dict[str, Any]], metric: str) -> str:
    mean, half = interval([result["metrics"][metric] for result in results])
    digits = PRECISE[metric]
    return f"{mean:.{digits}f} (one seed)" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


def common(results: list[dict[str, Any]], experiment: str) -> dict[str, str]:
    hardware = sorted({result["environment"].get("gpu", result["environment"]["processor"]) for result in results})
    return {
        "seeds": ", ".join(str(result["train_seed"]) for result in results),
        "hardware": "; ".join(hardware),
        "kimg": ", ".join(sorted({f"{result['kimg']:g}" for result in results})),
        "command": f"`python train.py experiment={experiment} seed=<seed>`",
    }


def untested(where: str, says: str, verdict: str) -> Claim:
    return Claim(where, says, "", "", "", "", "", verdict)
