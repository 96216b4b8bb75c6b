"""docs/results/dfm.md: the codec of Fourier networks beside JPEG, WebP, AVIF and JPEG XL, image by image.

python -m docs.ledger.codec [--images FOLDER [--side 128] [--rates 0.25 0.5 1 2] [--seconds 20 | --steps N] [--seed 0] [--most N]]

--images measures each image below a folder: cropped to its middle square and averaged to --side pixels, coded at each rate in
bits a pixel, decoded from the file and compared. Peers are coded at 20 qualities by each of their settings. The page is made
of the lines in docs/results/dfm/codec.jsonl; no number of it is typed. Seconds are the processor's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.ledger.codec_page import CHART, FILE, PAGE, RATES, chart, page, rates
from docs.ledger.codec_peers import SETTINGS, check_peers, curve
from docs.ledger.fits import square
from docs.ledger.midpoints import rounded
from docs.ledger.results import DOCS, Line, read_results, write_results
from generative.codec.rate_distortion import bits_per_pixel, bytes_at, psnr
from generative.rendering.containers.formats import is_image
from launch.errors import one_line_errors
from lightning_modules.dfm.coded import read_coded
from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.encoding import Candidates, encode
from lightning_modules.dfm.rate_control import AtMostBytes
from records.environment import environment

KEYS = ("image", "side", "codec", "asked", "budget", "seed")  # tell lines apart


def ours(image: Tensor, rate: float, budget: Budget, *, seed: int, compiled: bool) -> Line:
    """One file at ``rate`` bits a pixel, read back; ValueError where it does not hold what was written."""
    height, width = image.shape[1:]
    found = encode(
        image, AtMostBytes(bytes_at(rate, height, width)), budget, candidates=Candidates(compiled=compiled), seed=seed
    )
    content, begun = found.coded.content, time.process_time()
    read = read_coded(content, "the file")
    copy = read.image()
    decoding = time.process_time() - begun
    if not all(np.array_equal(a, b) for a, b in zip(read.numbers, found.coded.numbers, strict=True)):
        raise ValueError("the file does not hold the numbers that were written: the package constriction is damaged")
    return {
        "codec": "ours", "asked": rate, "bytes": len(content), "rate": bits_per_pixel(len(content), height, width),
        "psnr": psnr(image.numpy(), copy.numpy()), "psnr_fitted": found.fitted.psnr[0], "width": read.shape.width,
        "steps": found.fitted.course.steps, "seconds": found.seconds, "seconds_decoding": decoding,
    }  # fmt: skip


def peers(image: Tensor) -> list[Line]:
    """A line a codec: its curve in bits a pixel and dB."""
    height, width = image.shape[1:]
    lines = []
    for codec in SETTINGS:
        found = curve(image, codec)
        points = [[rounded(bits_per_pixel(taken, height, width)), rounded(quality)] for taken, quality in found.points]
        lines.append({"codec": codec, "curve": points, "seconds": found.seconds})
    return lines


def measure(path: Path, given: argparse.Namespace) -> list[Line]:
    """All lines of an image."""
    image = square(path, given.side)
    budget = Budget(steps=given.steps, cpu_seconds=given.seconds if given.steps is None else None)
    told: dict[str, Any] = {"image": path.stem, "side": given.side}
    own = {"budget": f"{given.steps} steps" if given.steps else f"{given.seconds:g} s", "seed": given.seed}
    where = {"environment": {"processor": environment("cpu")["processor"]}}
    lines = [told | line for line in peers(image)]
    for rate in given.rates:
        lines.append(told | own | where | ours(image, rate, budget, seed=given.seed, compiled=given.compile))
        print(f"{path.stem}, {rate:g} bits a pixel: {lines[-1]['psnr']:.2f} dB", flush=True)
    return lines


def put(lines: Sequence[Line]) -> None:
    """``lines`` into the file, in place of those of the same image, codec and rate."""
    new = [{key: rounded(value) for key, value in line.items()} for line in lines]
    keys = {key_of(line) for line in new}
    kept = [line for line in read_results(FILE) if key_of(line) not in keys]
    write_results(FILE, sorted([*kept, *new], key=key_of))


def key_of(line: Line) -> tuple[str, ...]:
    return tuple(str(line.get(key)) for key in KEYS)


def measure_all(given: argparse.Namespace) -> None:
    """Each image below a folder; its lines are kept as soon as it is done."""
    check_peers()
    torch.set_num_threads(1)  # a budget counts the seconds of all threads, those that wait too
    paths = sorted(path for path in given.images.rglob("*") if is_image(path))[: given.most]
    if not paths:
        raise ValueError(f"{given.images} holds no images")
    begun = time.monotonic()
    for done, path in enumerate(paths, 1):
        put(measure(path, given))
        left = (time.monotonic() - begun) / done * (len(paths) - done)
        print(f"{done} of {len(paths)} images, about {left / 60:.0f} min left", flush=True)


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, metavar="FOLDER")
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.25, 0.5, 1.0, 2.0], help="bits a pixel")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of fitting, each file; tuning takes 30 %% of it beside"
    )
    parser.add_argument("--steps", type=int, help="of fitting, in place of seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, help="only the first so many images")
    parser.add_argument("--compile", action="store_true", help="compile the steps of fitting, once a width")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    with one_line_errors():
        if given.images is not None:
            measure_all(given)
        if read_results(FILE):
            CHART.parent.mkdir(parents=True, exist_ok=True)
            chart().savefig(CHART, dpi=70)
            if found := rates():
                write_results(RATES, [{key: rounded(value) for key, value in row.items()} for row in found])
        PAGE.write_text(page())
        print(PAGE.relative_to(DOCS.parent) if PAGE.is_relative_to(DOCS.parent) else PAGE)


if __name__ == "__main__":
    main()
