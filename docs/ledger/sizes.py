"""Figure 5.1: how the error of fitted photos falls with the width and the depth of the network, several networks a cell.

python -m docs.ledger.sizes [IMAGE ...] [--size 64] [--widths 3 4 5 6 7] [--depths 3 6 10] [--networks 5] [--steps 100]
    [--recipes ours] [--compile]

The networks of a cell are fitted to one image in one program, from starts and by pixels of their own; all cells take equal
steps. A cell takes the place of its earlier line, and a grid of another size or other steps that of all lines. They stand in
docs/results/dfm/sizes.jsonl, and what follows of them in dfm/sizes_falls.jsonl. The chart dfm/sizes.png is made of them, and
`python -m docs.ledger.fits` puts it into docs/results/fits.md.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from docs.ledger.fits import square
from docs.ledger.results import DOCS, Line, read_results, write_results
from docs.ledger.sizes_page import CELL, CHART, FALLS, FILE, GRID, chart, falls
from launch.errors import one_line_errors
from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.fitting import Collapse, Fitted, fit
from lightning_modules.dfm.networks import Shape
from lightning_modules.dfm.recipe import RECIPES
from lightning_modules.tasks.samples import progress
from records.environment import environment


def fitted_cell(image: torch.Tensor, shape: Shape, recipe: str, *, networks: int, steps: int, compiled: bool) -> Fitted:
    """So many networks of ``shape`` fitted to the one image [C, H, W], collapsed or not."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*have collapsed")  # the lines say so
            return fit(image.expand(networks, -1, -1, -1), shape, recipe, Budget(steps=steps), compiled=compiled)
    except Collapse as collapse:
        return collapse.fitted


def lines(given: argparse.Namespace) -> Iterator[Line]:
    """A cell after the other, in the order of images, recipes, depths and widths."""
    told = {"size": given.size, "networks": given.networks}
    told |= {"environment": {"processor": environment("cpu")["processor"], "threads": torch.get_num_threads()}}
    for path in given.images:
        image = square(path, given.size)
        for recipe, depth, width in product(given.recipes, given.depths, given.widths):
            shape = Shape(width=width, depth=depth, channels=len(image))
            fitted = fitted_cell(
                image, shape, recipe, networks=given.networks, steps=given.steps, compiled=given.compile
            )
            cell = {"image": path.stem, "recipe": recipe, "depth": depth, "width": width}
            yield (
                told
                | cell
                | {
                    "coefficients": shape.num_coefficients,
                    "psnr": [round(value, 3) for value in fitted.psnr],
                    "collapsed": sum(fitted.collapsed),
                    "steps": fitted.course.steps,
                    "seconds": round(fitted.course.seconds, 2),
                    "program": fitted.course.program,
                }
            )


def put(line: Line) -> None:
    """A line into the file, in place of that of the same cell and of all that are not comparable with it."""
    kept = [
        other for other in read_results(FILE) if of(other, GRID) == of(line, GRID) and of(other, CELL) != of(line, CELL)
    ]
    write_results(FILE, sorted([*kept, line], key=lambda line: of(line, CELL)))


def of(line: Line, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(line[key] for key in keys)


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=Path, help="image files; none: only make the chart")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side")
    parser.add_argument("--widths", type=int, nargs="+", default=[3, 4, 5, 6, 7])
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 6, 10])
    parser.add_argument("--networks", type=int, default=5, help="of a cell")
    parser.add_argument("--steps", type=int, default=100, help="of each network")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=["ours"])
    parser.add_argument(
        "--compile", action="store_true", help="each cell's program, which takes longer than short fits"
    )
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    with one_line_errors():
        if given.images:
            cells = len(given.images) * len(given.recipes) * len(given.depths) * len(given.widths)
            with progress(cells, "cells") as bar:
                for line in lines(given):
                    put(line)
                    bar.update()
        if measured := read_results(FILE):
            write_results(FALLS, falls(measured))
            chart(measured).savefig(CHART, dpi=110)
            print(CHART.relative_to(DOCS.parent) if CHART.is_relative_to(DOCS.parent) else CHART)


if __name__ == "__main__":
    main()
