"""Samplers by their names, which an evaluation or a table carries: a family and mostly one number, as in ``convex_2``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from generative.latents.bank import Bank
from generative.latents.combinations import Combination, Smote
from generative.latents.densities import ClassMean, Gaussian, KernelDensity
from generative.latents.flow import Flow
from generative.latents.samplers import Sampler
from generative.latents.subspaces import Mixture


@dataclass(frozen=True)
class Settings:
    """What makes a sampler of a bank: its class and its arguments beside the bank."""

    sampler: Callable[..., Sampler]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, bank: Bank) -> Sampler:
        return self.sampler(bank, **self.arguments)


FIXED = {
    "training": Settings(Combination, {"n": 1}),
    "class_mean": Settings(ClassMean),
    "gaussian": Settings(Gaussian),
    "smote": Settings(Smote),
    "flow": Settings(Flow),
}
COUNTED: dict[str, Callable[[int], Settings]] = {  # by a count: of members or of components
    "convex": lambda n: Settings(Combination, {"n": n}),
    "dirichlet": lambda n: Settings(Combination, {"n": n, "theta": "dirichlet"}),
    "variance": lambda n: Settings(Combination, {"n": n, "spread": "variance"}),
    "mixture": lambda n: Settings(Mixture, {"components": n}),
}
MEASURED: dict[str, Callable[[float], Settings]] = {  # by a share in [0, 1]
    "kernel": lambda width: Settings(KernelDensity, {"width": width}),
}
EXAMPLES = (
    *FIXED,
    *(f"{family}_{n}" for family in COUNTED for n in (2, 3, 5)),
    *(f"{family}_0.5" for family in MEASURED),
)


def named(name: str) -> Settings:
    """The settings of the sampler ``name``. A number has one spelling: ``kernel_0.5``, and neither ``.5`` nor ``0.50``.

    ValueError with the nearest names for another.
    """
    if name in FIXED:
        return FIXED[name]
    family, _, number = name.rpartition("_")
    if family in COUNTED and re.fullmatch("[1-9][0-9]*", number):
        return COUNTED[family](int(number))
    if family in MEASURED and re.fullmatch(r"0|1|0\.[0-9]*[1-9]", number):
        return MEASURED[family](float(number))
    near = get_close_matches(name, EXAMPLES, n=3, cutoff=0.5) or EXAMPLES
    raise ValueError(f"there is no sampler of latents {name!r}: choose one like {', '.join(near)}")


def make_sampler(name: str, bank: Bank) -> Sampler:
    """The sampler ``name`` of ``bank``."""
    return named(name)(bank)
