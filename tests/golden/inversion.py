"""Twenty steps of each search and of pivotal tuning on an untrained Poly-INR in float64; python -m tests.golden.inversion.

The values of ``poly_inr_inversion.json`` are those of the search as it was inside Poly-INR. They are made again only
after a change of numbers that is meant; the commit says why.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from generative.inversion.objective import ReconstructionLoss
from generative.inversion.search import Found
from lightning_modules.poly_inr.embedding import affine_of
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.tasks.search import Inversion, Targets, images_of

FILE = Path(__file__).with_name("poly_inr_inversion.json")
KINDS = {"conditional": 3, "unconditional": 0}  # classes


def tiny(num_classes: int) -> PolyINR:
    torch.manual_seed(0)
    method = PolyINR(
        image_shape=(1, 6, 6),
        num_classes=num_classes,
        seed=0,
        generator=partial(Generator, num_levels=3, width=8, latent_dim=4, w_dim=8, embedding_dim=4),
        critic=lambda **_: nn.Identity(),
        generator_optimizer=torch.optim.Adam,
        critic_optimizer=torch.optim.Adam,
        budget_kimg=1,
    )
    return method.double().eval()


def found_by(kind: str) -> dict[str, Any]:
    """Of three images of noise: the affine parameters, images and losses of each space, and the classes that suit them best."""
    method = tiny(KINDS[kind])
    noise = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    targets = Targets(noise, torch.arange(3) if method.num_classes else None)
    inversion = Inversion(method, ReconstructionLoss(), seed=0, steps=20, rate=None, batch_size=2)
    loss = inversion.objective.to(noise)

    def values(images: torch.Tensor) -> dict[str, Any]:
        return {"images": images.flatten(1).tolist(), "losses": loss(images).tolist()}

    found: dict[str, Any] = {}
    ends: dict[str, list[Found]] = {}
    for space in method.space_names:
        ends[space] = inversion.embed(targets, space=space)
        affine = affine_of(inversion, targets, ends[space], space=space)
        found[space] = {"affine": affine.flatten(1).tolist(), **values(images_of(ends[space]))}
    with inversion.tuned(targets, ends["w"], space="w", steps=20, rate=0.01):
        found["pivotal"] = values(inversion.images_at(targets, ends["w"], space="w"))
    if method.num_classes:
        found["best_classes"] = inversion.best_classes(targets).tolist()
    return found


def main() -> None:
    found = {kind: found_by(kind) for kind in KINDS}
    FILE.write_text(json.dumps({"made_by": "python -m tests.golden.inversion", "found": found}) + "\n")


if __name__ == "__main__":
    main()
