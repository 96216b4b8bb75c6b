"""A bank: the latents of training images with their classes, of which samplers make others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from generative.latents.addressed import distinct
from generative.randomness import Stream

STORED = (torch.float16, torch.float32)


class Bank:
    """``latents`` [N, D] with ``labels`` [N], their classes from 0; member i of the bank is row i.

    Kept on the CPU as ``dtype``, float16 or float32, and handed out in float64. ``origins`` [N]: the number of each member
    in the data that it was encoded from, which a subset keeps; 0 .. N - 1 where left out. ValueError for latents that are no
    table of finite numbers, for values beyond ``dtype``, and for labels or origins that are not one integer a latent.
    """

    def __init__(
        self, latents: Tensor, labels: Tensor, origins: Tensor | None = None, *, dtype: torch.dtype = torch.float32
    ) -> None:
        if dtype not in STORED:
            raise ValueError(f"a bank keeps latents in float16 or float32, not {dtype}: choose one of the two")
        if latents.ndim != 2 or not latents.is_floating_point() or 0 in latents.shape:
            shape = tuple(latents.shape)
            raise ValueError(f"a bank takes a table of latents [N, D], got {shape} of {latents.dtype}: flatten them")
        if not latents.isfinite().all():
            raise ValueError(
                f"{int((~latents.isfinite()).any(dim=1).sum())} latents of the bank hold numbers that are not finite"
            )
        self.latents = latents.detach().to("cpu", dtype)
        if not self.latents.isfinite().all():
            largest = float(latents.abs().max())
            raise ValueError(f"latents as large as {largest:g} cannot be kept in {dtype}: take dtype float32")
        self.labels = as_numbers("labels", labels, len(latents))
        self.origins = torch.arange(len(latents)) if origins is None else as_numbers("origins", origins, len(latents))
        self.of_class = {int(label): (self.labels == label).nonzero()[:, 0] for label in self.labels.unique()}
        self.means: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def dim(self) -> int:
        return self.latents.shape[1]

    @property
    def classes(self) -> list[int]:
        """The classes that have members, in order."""
        return list(self.of_class)

    @property
    def size(self) -> int:
        """Bytes of what :meth:`state` holds."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.state().values())

    def members(self, label: int, *, least: int = 1) -> Tensor:
        """The numbers in the bank of the members of class ``label``, int64 [N_c]; ValueError if they are fewer than ``least``."""
        found = self.of_class.get(label)
        if found is None:
            have = ", ".join(map(str, self.classes))
            raise ValueError(f"class {label} has no members in the bank: choose one of {have}, or add latents of it")
        if len(found) < least:
            raise ValueError(
                f"class {label} has {len(found)} members in the bank, and this takes n = {least} distinct ones: "
                "take fewer, or keep more of the class"
            )
        return found

    def rows(self, numbers: Tensor) -> Tensor:
        """The latents of these members, float64 [n, D]."""
        return self.latents[numbers].double()

    def mean(self, label: int) -> Tensor:
        """mu_c, the mean of a class, float64 [D]; computed once."""
        if label not in self.means:
            self.means[label] = self.rows(self.members(label)).mean(dim=0)
        return self.means[label]

    def centred(self, label: int) -> Tensor:
        """z_i - mu_c of all members of a class, float64 [N_c, D], of at least two.

        Made anew each time: of ten classes of 5,000 with D = 2,048 all together would take 0.8 GB.
        """
        return self.rows(self.members(label, least=2)) - self.mean(label)

    def covariance(self, label: int) -> Tensor:
        """Sigma_c, that of a member chosen at random (divisor N_c): float64 [D, D]."""
        centred = self.centred(label)
        return centred.T @ centred / len(centred)

    def select(self, numbers: Tensor) -> Bank:
        """The bank of these members alone, such as those that a classifier gets right."""
        return Bank(self.latents[numbers], self.labels[numbers], self.origins[numbers], dtype=self.latents.dtype)

    def subset(self, per_class: int, seed: int) -> Bank:
        """The bank of ``per_class`` members of every class, chosen by ``seed`` and in their old order.

        ValueError for less than one, and where a class has fewer.
        """
        if per_class < 1:
            raise ValueError(f"a bank keeps at least 1 latent a class, got per_class {per_class}")
        chosen = []
        for label in self.classes:
            members = self.members(label, least=per_class)
            chosen.append(members[distinct(Stream(seed, "bank"), label, per_class, len(members))])
        return self.select(torch.cat(chosen).sort().values)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps, as plain tensors: ``size`` bytes."""
        return {"latents": self.latents, "labels": self.labels, "origins": self.origins}

    @staticmethod
    def from_state(state: Mapping[str, Tensor]) -> Bank:
        """The bank whose :meth:`state` this is; ValueError where a part is missing."""
        missing = [name for name in ("latents", "labels", "origins") if name not in state]
        if missing:
            raise ValueError(
                f"the state of a bank lacks {', '.join(missing)}: it holds {', '.join(state) or 'nothing'}"
            )
        return Bank(state["latents"], state["labels"], state["origins"], dtype=state["latents"].dtype)


def as_numbers(what: str, numbers: Tensor, count: int) -> Tensor:
    """``numbers`` as int64 [count] on the CPU; ValueError where they are not ``count`` integers from 0."""
    if numbers.shape != (count,) or numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        shape = tuple(numbers.shape)
        raise ValueError(f"{count} latents take {count} integers as {what}, got {shape} of {numbers.dtype}")
    if numbers.min() < 0:
        raise ValueError(f"{what} of a bank are integers from 0, got {int(numbers.min())}")
    return numbers.detach().to("cpu", torch.int64)
