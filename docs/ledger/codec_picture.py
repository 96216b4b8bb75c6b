"""docs/results/dfm/codec_picture.png: photos, and what each codec keeps of them in the same bytes.

python -m docs.ledger.codec_picture IMAGE ... [--side 128] [--rate 0.5] [--seconds 20] [--seed 0] [--compile]

A row a photo, cut and averaged as by docs.ledger.codec: the photo, ours at --rate bits a pixel, and the best of JPEG, WebP and
AVIF in no more bytes than ours took, each with its bytes and PSNR.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from docs.ledger.codec_peers import NAMES, best_copy, check_peers
from docs.ledger.fits import square
from docs.ledger.results import DOCS, RESULTS
from generative.codec.rate_distortion import bytes_at, psnr
from generative.rendering.images import side_by_side, stacked, to_pil
from launch.errors import one_line_errors
from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.encoding import Candidates, encode
from lightning_modules.dfm.rate_control import AtMostBytes

PICTURE = RESULTS / "dfm" / "codec_picture.png"
PEERS = ("JPEG", "WEBP", "AVIF")
SCALE = 2  # of each pixel in the picture


def row(image: Tensor, name: str, given: argparse.Namespace) -> Image.Image:
    """A uint8 image [C, H, W] and its copies side by side, with their bytes and PSNR above."""
    height, width = image.shape[1:]
    found = encode(
        image,
        AtMostBytes(bytes_at(given.rate, height, width)),
        Budget(cpu_seconds=given.seconds),
        candidates=Candidates(compiled=given.compile),
        seed=given.seed,
    )
    whole, taken = np.array(to_pil(image)), len(found.coded.content)
    panels = [(f"{name}, {height * width * len(image):,} bytes", to_pil(image))]
    own = to_pil(found.coded.image())
    panels.append((f"ours {taken:,} B, {psnr(whole, np.array(own)):.1f} dB", own))
    for codec in PEERS:
        best = best_copy(image, codec, most=taken)
        if best is None:
            panels.append((f"{NAMES[codec]}: none so small", Image.new("RGB", (width, height), "white")))
        else:
            copy = Image.fromarray(best[1])
            panels.append((f"{NAMES[codec]} {best[0]:,} B, {psnr(whole, best[1]):.1f} dB", copy))
    large = [
        (title, panel.resize((SCALE * width, SCALE * height), Image.Resampling.NEAREST)) for title, panel in panels
    ]
    return side_by_side(large)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--rate", type=float, default=0.5, help="bits a pixel")
    parser.add_argument("--seconds", type=float, default=20.0, help="of fitting, each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="compile the steps of fitting, once a width")
    with one_line_errors():
        given = parser.parse_args(arguments)
        check_peers()
        torch.set_num_threads(1)  # a budget counts the seconds of all threads, those that wait too
        rows = [("", row(square(path, given.side), path.stem, given)) for path in given.images]
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        stacked(rows).save(PICTURE, optimize=True)
        print(PICTURE.relative_to(DOCS.parent) if PICTURE.is_relative_to(DOCS.parent) else PICTURE)


if __name__ == "__main__":
    main()
