"""The rendered inspection set: nine classes of defects on boards with a die, in the counts of the chapter's Table 3.1.

python -m datamodules.rendered_inspection make data/rendered_inspection --resolution 512   draw the default set now
python -m datamodules.rendered_inspection make data/rendered_inspection --only 'epoxy=excess epoxy,epoxy on die'
python -m datamodules.rendered_inspection sheet OUT.png --examples 6                       examples of all classes
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.batches import Rows
from datamodules.inspection import Inspection
from datamodules.rendered_set import SetSettings, load_libraries, make_set
from generative.rendering.images import from_uint8, image_grid, stacked
from generative.rendering.inspection.address import Address
from generative.rendering.inspection.classes import CLASSES, CLEAN, LARGEST, PRODUCTS, SMALLEST

CONTRAST = {**dict.fromkeys(CLASSES, 1.0), "foreign material": 1.6}  # of the default world, times what is asked
SHOWN_AROUND = 0.16  # of an image's side, the least that a sheet shows around a defect


class RenderedInspection(Inspection):
    """Drawn on first use from ``world_seed`` into a folder of ``data_dir`` that is named by its settings, 0.3 s an image.

    ``resolution``: pixels a side, 64 to 2048. ``share``: of the published counts of every class and of the clean images, at
    least one of each; its images are the first of the whole set. ``test_share``: as that, of the defective test images, and
    above 1 there are more of them than published. ``clean_train`` and ``clean_test``: images without a defect. ``products``:
    how many different ones the images show, 1 to 12.

    ``contrast``: one factor of visibility, or one for each of some classes; 1 is the default world. It scales the change of light
    that foreign material, cracks, scratches, epoxy on the die and other defects make, and how far parts and the rim of the
    epoxy are beyond their tolerance. A missing die has none.

    Batches hold "mask" and "template", the twin of each image without its defects: another photo of the same board. With
    ``misaligned`` it is moved by up to 3 pixels, turned by up to half a degree, and up to 5 percent brighter or darker.
    ``inspection`` reads the folder as well.

    ``only``: the set has images of these classes alone, and clean ones. Each is a name with the classes that bear it:
    ``{epoxy: [excess epoxy, epoxy on die]}``. The images are those of the whole set.
    """

    stated_arguments = ("classes", "channels")

    def __init__(
        self,
        *,
        share: float = 1.0,
        test_share: float | None = None,
        products: int = PRODUCTS,
        clean_train: int = 200,
        clean_test: int = 100,
        contrast: float | dict[str, float] = 1.0,
        misaligned: bool = False,
        only: dict[str, list[str]] | None = None,
        world_seed: int = 0,
        **given: Any,
    ) -> None:
        super().__init__(classes=list(only or CLASSES), channels=3, **given)
        self.name = "rendered_inspection"
        if not SMALLEST <= self.resolution <= LARGEST:
            raise ValueError(f"datamodule.resolution must be between {SMALLEST} and {LARGEST}, got {self.resolution}")
        if not 0 < share <= 1:
            raise ValueError(f"datamodule.share must be above 0 and at most 1, got {share}")
        if test_share is not None and not (math.isfinite(test_share) and test_share > 0):
            raise ValueError(f"datamodule.test_share must be above 0, got {test_share}")
        if not 1 <= products <= PRODUCTS:
            raise ValueError(f"datamodule.products must be between 1 and {PRODUCTS}, got {products}")
        if min(clean_train, clean_test, world_seed) < 0:
            raise ValueError(
                f"datamodule.clean_train, clean_test and world_seed must be at least 0, got {clean_train}, {clean_test} and "
                f"{world_seed}"
            )
        self.above = self.data_dir
        self.settings = SetSettings(
            resolution=self.resolution,
            seed=world_seed,
            share=share,
            clean_train=clean_train,
            clean_test=clean_test,
            contrast=contrasts(contrast),
            misaligned=misaligned,
            only=chosen_classes(only or {}),
            test_share=test_share,
            products=products,
        )
        self.data_dir = self.above / self.settings.name

    def load(self, split: str) -> tuple[Rows, Tensor]:
        make_set(self.data_dir, self.settings)
        return super().load(split)

    def at_resolution(self, resolution: int) -> RenderedInspection:
        """The same boards and defects at another resolution, drawn when they are asked for."""
        other = copy.copy(self)
        other.__dict__.pop("images_of_splits", None)
        other.resolution, other.image_shape = resolution, (self.channels, resolution, resolution)
        other.settings = replace(self.settings, resolution=resolution)
        other.data_dir = self.above / other.settings.name
        other.arrays, other.found_targets = {}, {}
        return other


def contrasts(asked: float | Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The factor of each class: the default world's times what is asked. ValueError for other classes and values."""
    factors = dict(asked) if isinstance(asked, Mapping) else dict.fromkeys(CLASSES, asked)
    for name, factor in factors.items():
        if name not in CLASSES:
            raise ValueError(f"datamodule.contrast has no class {name!r}: choose of {', '.join(CLASSES)}")
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"datamodule.contrast must be above 0, got {factor} for {name}")
    return tuple((name, round(CONTRAST[name] * factors.get(name, 1.0), 6)) for name in CLASSES)


def chosen_classes(only: Mapping[str, Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """``only`` as settings hold it; ValueError for a class that the world has not, or that two names claim."""
    kinds = [kind for named in only.values() for kind in named]
    for kind in kinds:
        if kind not in CLASSES:
            raise ValueError(f"datamodule.only has no class {kind!r}: choose of {', '.join(CLASSES)}")
        if kinds.count(kind) > 1:
            raise ValueError(f"datamodule.only gives {kind!r} two names: give it one")
    if empty := [name for name, named in only.items() if not named]:
        raise ValueError(f"datamodule.only says of no class that it is {empty[0]!r}: name some of {', '.join(CLASSES)}")
    return tuple((name, tuple(named)) for name, named in only.items())


def sheet(*, examples: int, resolution: int = 512, seed: int = 0, side: int = 160, whole: bool = False) -> Image.Image:
    """A row of training images for each class under its name, and of clean ones; around the defect unless ``whole``."""
    load_libraries()
    from generative.rendering.inspection.world import render

    panels = []
    for kind in (*CLASSES, CLEAN):
        tiles = []
        for number in range(examples):
            made = render(Address(seed, "train", kind, number), resolution, contrast=dict(contrasts(1.0)))
            pixels = made.image if whole or kind == CLEAN else around(made.image, made.mask > 0)
            tiles.append(np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)))
        grid = image_grid(from_uint8(torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2)), num_columns=examples)
        panels.append((kind, grid))
    return stacked(panels)


def around(image: np.ndarray, defect: np.ndarray) -> np.ndarray:
    """The square of an image [S, S, 3] that shows the pixels of a defect [S, S] and what is beside it."""
    rows, columns = np.nonzero(defect)
    least = SHOWN_AROUND * len(image)
    side = min(len(image), round(max(1.3 * max(np.ptp(rows), np.ptp(columns)), least)))
    top, left = (
        min(max(round((places.min() + places.max() - side) / 2), 0), len(image) - side) for places in (rows, columns)
    )
    return image[top : top + side, left : left + side]


def named_classes(words: Sequence[str]) -> dict[str, list[str]]:
    """``epoxy=excess epoxy,epoxy on die`` of the command line; a class alone keeps its name."""
    parts = (word.partition("=") for word in words)
    return {name: kinds.split(",") if sign else [name] for name, sign, kinds in parts}


def named_factors(words: Sequence[str]) -> dict[str, float]:
    """``crack=0.5`` of the command line. ValueError for other words."""
    found = {}
    for word in words:
        name, _, factor = word.partition("=")
        try:
            found[name] = float(factor)
        except ValueError:
            raise ValueError(f"--contrast {word}: give CLASS=FACTOR, such as crack=0.5") from None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="draw the set that datamodule=rendered_inspection would draw")
    make.add_argument("data_dir", help="the folder above it")
    make.add_argument("--share", type=float, default=1.0)
    make.add_argument("--test-share", type=float, help="of the defective test images, above 1 more; else --share")
    make.add_argument("--products", type=int, default=PRODUCTS, help="how many different ones the images show")
    make.add_argument(
        "--contrast", nargs="+", default=[], metavar="CLASS=FACTOR", help="how visible these classes are; else 1"
    )
    make.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME[=CLASS,...]",
        help="these classes alone, under names of their own",
    )
    show = commands.add_parser("sheet", help="a picture of examples")
    show.add_argument("out", type=Path, help="a PNG file")
    show.add_argument("--examples", type=int, default=6, help="of each class")
    show.add_argument("--side", type=int, default=160, help="pixels of an example")
    show.add_argument("--whole", action="store_true", help="whole images, not what is around the defect")
    for command in (make, show):
        command.add_argument("--resolution", type=int, default=512)
        command.add_argument("--seed", type=int, default=0, help="of the world")
    given = parser.parse_args()
    try:
        if given.command == "make":
            settings = {
                "share": given.share,
                "test_share": given.test_share,
                "products": given.products,
                "contrast": named_factors(given.contrast),
                "world_seed": given.seed,
                "only": named_classes(given.only),
            }
            data = RenderedInspection(
                data_dir=given.data_dir, resolution=given.resolution, batch_size=1, seed=0, **settings
            )
            make_set(data.data_dir, data.settings)
            print(data.data_dir)
        else:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            shown = {name: getattr(given, name) for name in ("examples", "resolution", "seed", "side", "whole")}
            sheet(**shown).quantize(256).save(given.out, "png", optimize=True)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
