"""Real defects, each with the rendering that was fitted to it, blended onto its faultless twin: what a refiner learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.batches import Rows
from datamodules.notices import warn_once
from datamodules.patches.augmentation import PatchAugmentation
from datamodules.synthesis.fitting import fit
from datamodules.synthesis.painting import Style
from datamodules.synthesis.pairs import Pair, pair_of
from datamodules.synthesis.reading import choose, names_for_config, read_examples
from generative.randomness import Stream

LEVELS = 0.1  # largest change of contrast and of brightness
PHOTOMETRIC = ("image", "template")


@dataclass(frozen=True)
class PairAugmentation:
    """Pairs turned by quarters and mirrored, and by ``levels`` brighter or darker, with more contrast or less, both alike."""

    seed: int
    size: int
    levels: float

    def __call__(self, rows: dict[str, Tensor], first_number: int) -> dict[str, Tensor]:
        shown = PatchAugmentation(self.seed, self.size, strong=False)(rows, first_number)
        uniform = Stream(self.seed, "light of pairs").uniform(first_number, len(rows["image"]), 2)
        contrast, brightness = (self.levels * (2.0 * uniform - 1.0)).view(-1, 2, 1, 1, 1).unbind(dim=1)
        for name in PHOTOMETRIC:
            shown[name] = (shown[name] * (1.0 + contrast) + brightness).clamp(-1.0, 1.0)
        return shown


class RefinementPairs(ImageDataModule):
    """Of ``num_real`` defects of each class of the set in ``data_dir`` (DeepPCB's, or boxes in COCO's format), one pair each.

    ``classes``: their names, as the set has them in order. ``size``: pixels a side. ``channels``: 1 or 3, those of the
    pictures. Fewer real ones of a ``subset_seed`` are among more of it, and are those that ``python -m datamodules.synthesize
    fit`` takes; the ``num_test`` next ones of each class are the test split. ``alpha``, ``whole_tile`` and ``renderer``: how
    renderings are blended, eq. 3.1. ``register``: twins are moved onto their images first, and defects whose twin does not
    fit are left out. ``light``: largest change of contrast and brightness in training.

    Batches hold "image" [B, C, S, S], the real defect, "template", the blended rendering, and "mask" uint8 [B, S, S], 1 on the
    real defect.
    """

    splits = ("train", "test")

    def __init__(
        self,
        *,
        data_dir: str,
        classes: list[str],
        size: int,
        num_real: int = 20,
        num_test: int = 5,
        subset_seed: int = 0,
        channels: int = 1,
        alpha: float = 1.0,
        whole_tile: bool = False,
        renderer: str = "numpy",
        register: bool = False,
        light: float = LEVELS,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        if size < 8 or size % 8:
            raise ValueError(f"datamodule.size must be a multiple of 8, got {size}")
        if min(num_real, num_test) < 1:
            raise ValueError(f"datamodule.num_real and num_test must be at least 1, got {num_real} and {num_test}")
        if channels not in (1, 3):
            raise ValueError(f"datamodule.channels must be 1 (grey) or 3 (colour), got {channels}")
        if not 0 <= light < 1:
            raise ValueError(f"datamodule.light must be at least 0 and below 1, got {light}")
        self.data_dir, self.classes = Path(data_dir).expanduser(), tuple(classes)
        self.size, self.num_real, self.num_test, self.subset_seed = size, num_real, num_test, subset_seed
        self.style = Style(renderer=renderer, alpha=alpha, whole_tile=whole_tile)
        self.register = register
        self.name = "refinement_pairs"
        self.image_shape = (channels, size, size)
        self.num_classes = len(self.classes)
        self.label_names, self.target_classes = self.classes, ("faultless", "defect")
        self.augmentation = PairAugmentation(self.seed, size, light)

    @cached_property
    def pairs(self) -> dict[str, list[Pair]]:
        """Those of each split; ValueError where the set has other classes or channels, or a class no pair."""
        examples = read_examples(self.data_dir)
        if examples.classes != self.classes:
            raise ValueError(
                f"{self.data_dir} has other classes than datamodule.classes: {names_for_config(examples.classes)}"
            )
        chosen = choose(examples, num_real=self.num_real + self.num_test, seed=self.subset_seed, fewer=True)
        found: dict[str, list[Pair]] = {}
        for split, part in {"train": slice(self.num_real), "test": slice(self.num_real, None)}.items():
            real = {name: rows[part] for name, rows in chosen.items()}
            if empty := [name for name, rows in real.items() if not rows]:
                raise ValueError(f"num_real={self.num_real} leaves no {empty[0]!r} to test on: give fewer")
            found[split] = self.pairs_of(real, examples)
        return found

    def pairs_of(self, real: Mapping[str, Any], examples: Any) -> list[Pair]:
        done = fit(examples, real, num_real=self.num_real, seed=self.subset_seed, families={})
        if done.recipe.channels != self.image_shape[0]:
            raise ValueError(
                f"the pictures of {self.data_dir} have {done.recipe.channels} channels: give datamodule.channels="
                f"{done.recipe.channels}"
            )
        samples = [sample for rows in done.samples.values() for sample in rows]
        found, refused = [], []
        for number, sample in enumerate(samples):
            try:
                pair = pair_of(
                    sample,
                    size=self.size,
                    style=self.style,
                    levels=done.recipe.levels,
                    seed=self.subset_seed,
                    number=number,
                    registered=self.register,
                )
            except ValueError as error:
                refused.append(f"{sample.example.image.name}: {error}")
                continue
            if pair is None:
                refused.append(f"{sample.example.image.name} shows no defect with an area")
            else:
                found.append(pair)
        if refused:
            warn_once(
                f"{len(refused)} of {len(samples)} defects make no pair and are left out, the first since {refused[0]}"
            )
        if lacking := [name for name in self.classes if name not in {pair.name for pair in found}]:
            raise ValueError(f"no defect of {lacking[0]!r} makes a pair: give masks of this class, or more of it")
        return found

    def load(self, split: str) -> tuple[Rows, Tensor]:
        labels = torch.tensor([self.classes.index(pair.name) for pair in self.pairs[split]])
        return as_rows([pair.real for pair in self.pairs[split]]), labels

    def targets(self, split: str) -> Mapping[str, Rows]:
        masks = torch.from_numpy(np.stack([pair.mask for pair in self.pairs[split]])).to(torch.uint8)
        return {"template": as_rows([pair.blended for pair in self.pairs[split]]), "mask": masks}


def as_rows(pictures: list[np.ndarray]) -> Tensor:
    """Bytes [H, W] or [H, W, C] of one size -> uint8 [N, C, H, W]."""
    return torch.from_numpy(np.stack([np.atleast_3d(picture) for picture in pictures])).permute(0, 3, 1, 2).contiguous()
