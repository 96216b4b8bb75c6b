"""Early termination as W&B's hyperband does it: at certain rows the worse trials end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launch.errors import did_you_mean

KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
MAX_BANDS = 100


@dataclass(frozen=True)
class Hyperband:
    """A trial with ``bands[i]`` rows of the metric goes on if it is among the best 1/``eta`` that have got as far.

    ``strict``: by its value at that row; otherwise by its best value so far.
    """

    bands: tuple[int, ...]
    eta: float
    strict: bool

    def ends(self, history: Sequence[float], all_histories: Sequence[Sequence[float]]) -> bool:
        """Whether the trial with the values ``history``, lower being better, is to end; its own is one of all."""
        reached = [band for band in self.bands if band <= len(history)]
        if not reached:
            return False
        row = reached[-1] - 1
        peers = sorted(values[row] for values in all_histories if len(values) > row)
        threshold = peers[int(len(peers) / self.eta)]
        return (history[row] if self.strict else min(history)) > threshold


def read_hyperband(node: Any) -> Hyperband:
    """``early_terminate`` of a sweep file; ValueError says what is wrong with it."""
    if not isinstance(node, dict) or node.get("type") != "hyperband":
        raise ValueError(f"early_terminate must be of type hyperband, got {node!r}")
    for key in node.keys() - set(KEYS):
        raise ValueError(f"early_terminate has no setting {key!r}{did_you_mean(str(key), KEYS)}")
    eta, strict = node.get("eta", 3), node.get("strict", True)
    if type(eta) not in (int, float) or not 1 < eta < math.inf:
        raise ValueError(f"early_terminate: eta must be a number above 1, got {eta!r}")
    if not isinstance(strict, bool):
        raise ValueError(f"early_terminate: strict must be true or false, got {strict!r}")
    for key in ("min_iter", "max_iter", "s"):
        if key in node and (type(node[key]) is not int or node[key] < 1):
            raise ValueError(f"early_terminate: {key} must be an integer of at least 1, got {node[key]!r}")
    if "max_iter" in node and "s" in node:
        found = [int(node["max_iter"] / eta**i) for i in range(1, node["s"] + 1)]
        bands = sorted({band for band in found if band >= 1})
    elif "min_iter" in node:
        bands = sorted({int(node["min_iter"] * eta**i) for i in range(MAX_BANDS) if eta**i < 1e9})
    else:
        raise ValueError("early_terminate needs min_iter, or max_iter and s")
    if not bands:
        raise ValueError(
            f"early_terminate: max_iter {node['max_iter']} is below eta {eta}: no row is left to end trials at"
        )
    return Hyperband(tuple(bands), float(eta), strict)
