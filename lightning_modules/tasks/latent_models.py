"""What the tasks of latents share: the way in which a generator draws for a time, and what its prior is called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from generative.priors.base import Prior
from generative.priors.paths import PATHS
from lightning_modules.base import Draws, HasLatents


@contextmanager
def drawn_by(method: Draws, sampling: str | None) -> Iterator[None]:
    """For a time the method draws by ``sampling``; None: as it does."""
    kept = method.sampling
    if sampling is not None:
        method.use_sampling(sampling)
    try:
        yield
    finally:
        method.sampling = kept


def sampling_alone(method: HasLatents) -> str | None:
    """The way to draw in which an image hangs on no other; ValueError where there is none."""
    for sampling in method.samplings or (None,):
        with drawn_by(method, sampling):
            if method.drawn_together == 1:
                return sampling
    raise ValueError(
        f"every image of {type(method).__name__} hangs on those that it is drawn with: a strip shows none alone"
    )


def check_paths(paths: list[str]) -> list[str]:
    """``paths``; ValueError unless there is one, and each is known and named once."""
    if not paths or not {*paths} <= {*PATHS} or len({*paths}) < len(paths):
        raise ValueError(f"paths names some of {', '.join(PATHS)}, each once, got {paths}")
    return paths


def prior_name(prior: Prior) -> str:
    """As configurations name it: laws are one file each, and configs/prior calls them by these."""
    return type(prior).__module__.rpartition(".")[2]


def prior_settings(method: HasLatents) -> str:
    """The arguments that a run gave its prior, such as "nu=3, unit_variance=true"; empty without any."""
    block: dict[str, Any] = method.run_config.get("method", {}).get("prior") or {}
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in block.items() if name != "_target_")
