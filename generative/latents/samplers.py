"""What draws latents of a class from a bank: row k is a function of (bank, stream, number, label), and of nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from generative.latents.bank import Bank
from generative.randomness import Stream

NONE = torch.empty(0, dtype=torch.int64)  # the sources of a latent that has none
NO_WEIGHTS = torch.empty(0, dtype=torch.float64)


class Row(NamedTuple):
    """One latent [D] with the n members that it is made of, by their numbers in the bank, and their weights, [n] both."""

    latent: Tensor
    sources: Tensor = NONE
    weights: Tensor = NO_WEIGHTS


@dataclass(frozen=True)
class Drawn:
    """``latents`` float64 [B, D], and of each its ``sources``, int64 [B, n], and their ``weights``, float64 [B, n].

    n = 0 where a latent is made of all members of its class.
    """

    latents: Tensor
    sources: Tensor
    weights: Tensor


class Sampler(ABC):
    """Draws latents like those of ``bank``."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    def draw(self, numbers: Sequence[int] | range, labels: Tensor, stream: Stream) -> Drawn:
        """The latents of these ``numbers`` of ``stream``, of the classes ``labels`` [B].

        One by one, since a product of matrices rounds a row by how many others there are. ValueError for no numbers, for
        negative ones, for labels that are not as many, and where a class has too few members.
        """
        if len(numbers) == 0 or labels.shape != (len(numbers),):
            raise ValueError(
                f"draw at least one number, with a label each: got {len(numbers)} and {tuple(labels.shape)}"
            )
        if min(numbers) < 0:
            raise ValueError(f"the numbers of latents begin at 0, got {min(numbers)}")
        asked = labels.tolist()
        rows: dict[int, Row] = {}
        for label in sorted(set(asked)):
            # A stream for each class: rows take as many words of it as the class may ask for, and never those of another.
            row = self.of_class(label, stream.branch(f"class {label}"))
            rows |= {place: row(int(numbers[place])) for place, its in enumerate(asked) if its == label}
        latents, sources, weights = zip(*(rows[place] for place in range(len(asked))), strict=True)
        return Drawn(torch.stack(latents), torch.stack(sources), torch.stack(weights))

    @abstractmethod
    def of_class(self, label: int, stream: Stream) -> Callable[[int], Row]:
        """What draws the latent of a number in class ``label``, whose own ``stream`` this is."""
