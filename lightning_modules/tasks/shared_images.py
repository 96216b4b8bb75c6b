"""Images that several codes are to draw together, whole or with holes, and how near what they drew comes to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_choice
from generative.inversion.measurements import Masked, Whole
from generative.rendering.images import to_uint8
from generative.rendering.mask_files import MEANINGS
from lightning_modules.base import Invertible
from lightning_modules.tasks.originals import Source, labels_of_originals
from lightning_modules.tasks.restoration import hidden_by
from lightning_modules.tasks.search import Targets
from metrics.quality import in_decibels, restoration_scores, squared_errors


def shared_space_of(method: Invertible) -> str:
    """The space in which several codes draw an image; ValueError where the method has none."""
    if method.shared_space is None:
        raise ValueError(
            f"{type(method).__name__} draws every image by one point of {', '.join(method.space_names)}, so that there are no "
            "codes to tell apart: take the checkpoint of a method with a space of several, such as pggan"
        )
    return method.shared_space


@dataclass(frozen=True)
class SharedImages:
    """``targets`` called ``names``; ``known`` pixels [N, 1, H, W] on the CPU by the rule ``mask``, None: all are known."""

    names: list[str]
    targets: Targets
    known: Tensor | None
    mask: str | None

    @property
    def originals(self) -> Tensor:
        return self.targets.images.cpu()

    def panels(self) -> dict[str, Tensor]:
        """What is looked for, and what is known of it: [N, C, H, W] by their titles."""
        shown = {"original": self.originals}
        return shown if self.known is None else shown | {"known": torch.where(self.known, self.originals, 0.0)}

    def scores(self, images: Tensor) -> dict[str, list[float]]:
        """PSNR in dB of each of ``images`` [N, C, H, W]: of the whole, or of known and hidden pixels."""
        pair = to_uint8(images), to_uint8(self.originals)
        if self.known is None:
            return {"psnr": in_decibels(squared_errors(*pair).mean(dim=(1, 2, 3))).tolist()}
        found = restoration_scores(*pair, self.known)
        return {name: found[name].tolist() for name in ("psnr_known", "psnr_hole")}


def shared_images(
    method: Invertible,
    source: Source,
    count: int,
    *,
    classes: list[int] | int | None,
    masks: str | None,
    white: str,
    seed: int,
) -> SharedImages:
    """The first ``count`` images of a ``source``; ``classes``, ``masks`` and ``white`` as in `inpaint`, but whole without masks."""
    check_choice("meaning of white", white, MEANINGS)
    images, own = source.read(method, range(count))
    labels = labels_of_originals(method, own, classes, count)
    numbers = torch.tensor(source.numbers[:count])
    if masks is None:
        return SharedImages(source.names[:count], Targets(images, labels, Whole(), numbers), None, None)
    hidden = hidden_by(masks, source, count, method.image_shape, white=white, seed=seed)
    through = Masked(hidden.known.to(images.device))
    return SharedImages(source.names[:count], Targets(images, labels, through, numbers), hidden.known, hidden.name)


def named_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given: None stands for the space's own."""
    return {name: value for name, value in settings.items() if value is not None}
