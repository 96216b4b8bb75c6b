"""docs/results/fits.md: networks of Fourier layers fitted to photos by the printed recipe and by ours, SIREN and others beside.

python -m docs.ledger.fits [IMAGE ... --cpu-seconds 8 | --steps N] [--size 128] [--width 6] [--depth 6] [--seeds 0 1]
    [--methods NAME ...]

Each image, cut to its middle square and made --size wide by the means of boxes, is fitted by each method at equal cost, of
CPU seconds without compilation or of steps. Rivals have about as many parameters as the network of Fourier layers. Lines of a
fit take the place of its earlier ones. The page is made of the lines in docs/results/dfm/fits.jsonl; no number of it is typed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from datamodules.presets import crop_box
from docs.ledger.fits_page import FILE, GAPS, PAGE, gaps, page
from docs.ledger.results import DOCS, Line, read_results, write_results
from generative.rendering.images import from_pil, to_pil
from launch.errors import one_line_errors
from lightning_modules.dfm.codec import read_image
from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.fitting import Collapse, Fitted, fit
from lightning_modules.dfm.networks import Shape
from lightning_modules.dfm.recipe import RECIPES
from lightning_modules.dfm.rivals import Rival, coin_bytes, fit_rival, fourier_features_of, siren_of
from lightning_modules.tasks.samples import progress
from records.environment import environment

RIVALS: dict[str, Callable[[int, int], Rival]] = {"siren": siren_of, "fourier_features": fourier_features_of}
METHODS = ("printed", "ours", *RIVALS)
KEYS = ("size", "width", "depth", "budget", "image", "method", "seed")  # tell lines apart


def square(path: Path, size: int) -> Tensor:
    """The middle of an image file, ``size`` pixels wide and high: uint8 [C, size, size]."""
    return from_pil(crop_box(to_pil(read_image(path)), size))


def fitted_by(method: str, image: Tensor, shape: Shape, budget: Budget, *, seed: int, compiled: bool) -> Fitted:
    """What ``method`` came to of an image [C, H, W], collapsed or not."""
    try:
        if method in RIVALS:
            rival = RIVALS[method](shape.num_coefficients, shape.channels)
            return fit_rival(image[None], rival, budget, seed=seed, compiled=compiled)
        return fit(image[None], shape, method, budget, seed=seed, compiled=compiled)
    except Collapse as collapse:
        return collapse.fitted


def line_of(fitted: Fitted) -> Line:
    course = fitted.course
    return {
        "parameters": sum(part.numel() for part in course.parameters),
        "psnr": round(fitted.psnr[0], 3),
        "psnr_mean_colour": round(fitted.psnr_mean[0], 3),
        "collapsed": fitted.collapsed[0],
        "steps": course.steps,
        "seconds": round(course.seconds, 2),
        "program": course.program,
    }


def lines(given: argparse.Namespace) -> Iterator[Line]:
    """A fit after the other, in the order of images, seeds and methods."""
    budget = Budget(steps=given.steps, cpu_seconds=given.cpu_seconds)
    told = {"size": given.size, "width": given.width, "depth": given.depth}
    told |= {"budget": f"{given.steps} steps" if given.steps else f"{given.cpu_seconds:g} CPU seconds"}
    told |= {"environment": {"processor": environment("cpu")["processor"], "threads": torch.get_num_threads()}}
    for path in given.images:
        image = square(path, given.size)
        shape = Shape(width=given.width, depth=given.depth, channels=len(image))
        for seed in given.seeds:
            for method in given.methods:
                fitted = fitted_by(method, image, shape, budget, seed=seed, compiled=not given.eager)
                line = told | {"image": path.stem, "method": method, "seed": seed} | line_of(fitted)
                if method == "siren":
                    line["coin_bytes"] = coin_bytes(siren_of(shape.num_coefficients, shape.channels))
                yield line


def put(line: Line) -> None:
    """A line into the file, in place of that of the same fit."""
    kept = [other for other in read_results(FILE) if key_of(other) != key_of(line)]
    write_results(FILE, sorted([*kept, line], key=key_of))


def key_of(line: Line) -> tuple[str, ...]:
    return tuple(str(line[key]) for key in KEYS)


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=Path, help="image files; none: only make the page")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side")
    parser.add_argument("--width", type=int, default=6, help="of the Fourier layers")
    parser.add_argument("--depth", type=int, default=6, help="of the Fourier layers")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=[*RECIPES, *RIVALS], default=METHODS)
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--cpu-seconds", type=float, help="of each fit, without compilation")
    budget.add_argument("--steps", type=int, help="of each fit")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    with one_line_errors():
        if given.images:
            torch.set_num_threads(1)  # a budget counts the seconds of all threads, those that wait too
            with progress(len(given.images) * len(given.seeds) * len(given.methods), "fits") as bar:
                for line in lines(given):
                    put(line)
                    bar.update()
        if measured := read_results(FILE):
            write_results(GAPS, gaps(measured))
        PAGE.write_text(page())
        print(PAGE.relative_to(DOCS.parent) if PAGE.is_relative_to(DOCS.parent) else PAGE)


if __name__ == "__main__":
    main()
