"""A checkpoint of a method that translates images, as the last step of `python -m datamodules.synthesize draw`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from datamodules.synthesis.recipe import Recipe
from datamodules.synthesis.translating import FAULTLESS, Translation, setting_for
from generative.rendering.images import from_uint8, to_uint8
from launch.checkpoint import load_method
from lightning_modules.base import Classifies, Translates

LEAST_CHANCE = 0.9  # of a class that a classifier names


class CheckpointNetwork:
    """The method of ``path`` as :class:`datamodules.synthesis.translating.Network`. ``seed``: of its noise.

    ValueError where it does not translate, has other channels or lacks a class of ``recipe``.
    """

    def __init__(self, path: Path, recipe: Recipe, *, seed: int) -> None:
        method, datamodule = load_method(path)
        if not isinstance(method, Translates):
            raise ValueError(
                f"{path} is of {type(method).__name__}, which translates no images: give a run of defects/refiner, filler, "
                "style_transfer or cycle"
            )
        if method.image_shape[0] != recipe.channels:
            raise ValueError(
                f"{path} has learned from images of {method.image_shape[0]} channels, and the recipe draws {recipe.channels}: "
                "train it on images like those that are drawn on"
            )
        if method.num_classes:
            check_known(path, recipe, datamodule.label_names)
        self.method, self.names, self.seed = method, datamodule.label_names, seed
        self.given, self.side = method.given, method.image_shape[1]

    def __call__(self, windows: np.ndarray, masks: np.ndarray, names: Sequence[str], *, first: int) -> np.ndarray:
        images = as_images(windows)
        labels = torch.tensor([self.names.index(name) for name in names]) if self.method.num_classes else None
        holes = torch.from_numpy(masks.astype(np.uint8))
        drawn = self.method.translate(images, masks=holes, labels=labels, first=first, seed=self.seed)
        translated: np.ndarray = to_uint8(drawn).permute(0, 2, 3, 1).reshape(windows.shape).numpy()
        return translated


class CheckpointNames:
    """The classifier of ``path`` as what names defects of windows of ``side`` pixels: None below the chance ``least``.

    ValueError where it does not classify such windows, or lacks a class of ``recipe``.
    """

    def __init__(self, path: Path, recipe: Recipe, *, side: int, least: float) -> None:
        method, datamodule = load_method(path)
        if not isinstance(method, Classifies):
            raise ValueError(
                f"{path} is of {type(method).__name__}, which names no classes: give a run of method=classifier"
            )
        if not 0 <= least < 1:
            raise ValueError(f"--least-chance must be at least 0 and below 1, got {least:g}")
        shape = (recipe.channels, side, side)
        if method.image_shape != shape:
            raise ValueError(
                f"{path} names images of {' x '.join(map(str, method.image_shape))}, and those that are drawn have "
                f"{' x '.join(map(str, shape))}: train it on patches of that size"
            )
        check_known(path, recipe, datamodule.label_names)
        self.method, self.names, self.recipe, self.least = method, datamodule.label_names, recipe, least

    @torch.no_grad()
    def __call__(self, windows: np.ndarray) -> list[str | None]:
        chances = self.method.classify(self.method.features(as_images(windows))).softmax(dim=1)
        best, places = chances.max(dim=1)
        named = [self.names[place] for place in places.tolist()]
        sure = (best >= self.least).tolist()
        return [name if of and name in self.recipe.classes else None for name, of in zip(named, sure, strict=True)]


def as_images(windows: np.ndarray) -> torch.Tensor:
    """Windows of bytes [N, S, S] or [N, S, S, C] in [-1, 1]: [N, C, S, S]."""
    return from_uint8(torch.from_numpy(windows.reshape(*windows.shape[:3], -1)).permute(0, 3, 1, 2))


def check_known(path: Path, recipe: Recipe, names: Sequence[str]) -> None:
    """ValueError where the checkpoint ``path``, which knows ``names``, lacks a class of ``recipe``."""
    unknown = [name for name in recipe.classes if name not in names]
    if unknown:
        raise ValueError(
            f"the recipe draws {unknown[0]!r}, and {path} has learned {', '.join(names)}: train it on the classes of the recipe"
        )


def translation_of(
    path: Path, recipe: Recipe, *, seed: int, named_by: Path | None = None, least_chance: float = LEAST_CHANCE
) -> Translation:
    """What the checkpoint ``path`` makes of pictures drawn by ``recipe``; ValueError where the two do not go together.

    ``named_by``: the checkpoint of a classifier that names what ``path`` draws, with at least ``least_chance``.
    """
    network = CheckpointNetwork(path, recipe, seed=seed)
    facts = {"method": type(network.method).__name__, "checkpoint": fingerprint(path)}
    translation = Translation(network, recipe.boxes, facts, setting_for(recipe), levels=recipe.levels, seed=seed)
    makes_up = network.given == FAULTLESS
    if named_by is None:
        if makes_up and network.method.num_classes == 0:
            raise ValueError(
                f"{path} draws defects of any class, so that none has a name: give a classifier by --named-by, or train it "
                "conditionally"
            )
        return translation
    if not makes_up:
        raise ValueError(f"what {path} draws has the class that was drawn: leave out --named-by")
    names = CheckpointNames(named_by, recipe, side=network.side, least=least_chance)
    facts |= {"named_by": fingerprint(named_by), "least_chance": f"{least_chance:g}"}
    return replace(translation, facts=facts, naming=names)


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
