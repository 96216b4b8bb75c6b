"""Images to small files and back, by networks of Fourier layers.

python -m lightning_modules.dfm.codec encode IMAGE FILE --bytes 1500 | --bits-per-pixel 0.5 | --psnr 30
    [--seconds 20 | --steps 1000] [--seed 0] [--width 5] [--depth 6] [--kernel full] [--compile]
python -m lightning_modules.dfm.codec decode FILE IMAGE [--size WIDTH HEIGHT]
python -m lightning_modules.dfm.codec info FILE

Files end in .dfm, decoded images in .png. Where IMAGE (of encode) or FILE (of decode) is a folder, all of it is done, into a
folder. A grey image has one channel. The numbers of a file come back exactly on every machine, pixels within one level.
Seconds are the processor's; fine-tuning takes another 30 % of them, and each network that is tried for --psnr takes all of
them. The same --steps and --seed give the same file on the same machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.codec.rate_distortion import bits_per_pixel, bytes_at
from generative.rendering.containers.formats import is_image
from generative.rendering.images import from_pil, to_pil
from generative.rendering.pictures import naming, open_picture, read_picture
from lightning_modules.dfm.coded import CodedImage, read_coded
from lightning_modules.dfm.descent import Budget
from lightning_modules.dfm.encoding import TUNING_SHARE, Candidates, Encoded, encode
from lightning_modules.dfm.layer import KERNELS
from lightning_modules.dfm.rate_control import AtLeastQuality, AtMostBytes, Target

SUFFIX = ".dfm"
SECONDS = 20.0
SOONEST = 1.0, 15.0  # seconds between two reports of progress, on a terminal and elsewhere
EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130


def read_image(path: Path) -> Tensor:
    """A file as uint8 [C, H, W], of one channel where it is grey; ValueError for alpha, for 16 bits, and for what is no image."""
    content, name = path.read_bytes(), str(path)
    with naming(name), open_picture(content, name) as picture:
        if picture.has_transparency_data:
            raise ValueError(f"{name} has alpha, which a file does not hold: put it on a background first")
        if ";16" in str(getattr(picture, "tile", "")):  # Pillow would cut them to 8 in silence
            raise ValueError(f"{name} has 16 bits a channel: convert it to 8 first")
        channels = 1 if picture.mode in ("L", "1") else 3
    return from_pil(read_picture(content, name, channels=channels).image)


class Progress:
    """Reports of how far ``total`` images are, on stderr: one line that changes on a terminal, now and then one elsewhere."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.name = total, 0, ""
        self.begun = time.monotonic()
        self.on_terminal = sys.stderr.isatty()
        self.told = self.begun

    def watch(self, what: str, share: float) -> None:
        now = time.monotonic()
        if now - self.told < SOONEST[not self.on_terminal]:
            return
        self.told = now
        tuning = what == "fine-tuning"
        of_image = (tuning + share * (TUNING_SHARE if tuning else 1.0)) / (1.0 + TUNING_SHARE)
        over = (self.done + of_image) / self.total
        left = (now - self.begun) * (1.0 - over) / max(over, 1e-3)
        text = f"{self.name}: {what}, {share:.0%}; {self.done} of {self.total} images done, about {in_words(left)} left"
        print(
            f"\r{text:<110}" if self.on_terminal else text,
            end="" if self.on_terminal else "\n",
            file=sys.stderr,
            flush=True,
        )


def in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def each_file(source: Path, dest: Path, *, takes: Callable[[Path], bool], suffix: str) -> list[tuple[Path, Path]]:
    """Each file of ``source`` with where it goes: itself to ``dest``, or of a folder all that are taken, into a folder.

    ValueError where there is none, where two would go to one place, and for a name without the ``suffix``.
    """
    if not source.is_dir():
        if dest.suffix != suffix:
            raise ValueError(f"{dest} does not end in {suffix}: name it so, as {suffix} is what is written")
        return [(source, dest)]
    sources = sorted(path for path in source.iterdir() if path.is_file() and takes(path))
    if not sources:
        raise ValueError(f"{source} holds no file to take")
    if len({path.stem for path in sources}) < len(sources):
        stems = [path.stem for path in sources]
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise ValueError(
            f"{source} holds several files called {twice}, which would all become {twice}{suffix}: rename them"
        )
    dest.mkdir(parents=True, exist_ok=True)
    return [(path, dest / f"{path.stem}{suffix}") for path in sources]


def do_each(pairs: Sequence[tuple[Path, Path]], do: Callable[[Path, Path], None]) -> None:
    """``do`` for each; of several those that fail are named and left out, and ValueError counts them at the end."""
    failed = 0
    for source, dest in pairs:
        try:
            do(source, dest)
        except (ValueError, OSError) as error:
            if len(pairs) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            failed += 1
    if failed:
        raise ValueError(f"{failed} of {len(pairs)} files were left out, for the reasons above")


def encode_all(given: argparse.Namespace) -> None:
    """``encode``: images to files, with a line of what each became."""
    check_at_least(1, threads=given.threads)
    torch.set_num_threads(given.threads)
    seconds = SECONDS if given.steps is None and given.seconds is None else given.seconds
    budget = Budget(steps=given.steps, cpu_seconds=seconds)
    candidates = Candidates(width=given.width, depth=given.depth, kernel=given.kernel, compiled=given.compile)
    pairs = each_file(given.source, given.dest, takes=is_image, suffix=SUFFIX)
    progress = Progress(len(pairs))

    def do(source: Path, dest: Path) -> None:
        image = read_image(source)
        progress.name = source.name
        target = target_for(image, given)
        found = encode(image, target, budget, candidates=candidates, seed=given.seed, watch=progress.watch)
        content = found.coded.content
        dest.write_bytes(content)
        progress.done += 1
        print(f"{dest}: {told(found, len(content))}", flush=True)

    do_each(pairs, do)


def target_for(image: Tensor, given: argparse.Namespace) -> Target:
    if given.psnr is not None:
        return AtLeastQuality(given.psnr)
    if given.bytes is not None:
        return AtMostBytes(given.bytes)
    return AtMostBytes(bytes_at(given.bits_per_pixel, *image.shape[1:]))


def told(found: Encoded, num_bytes: int) -> str:
    shape, rate = found.coded.shape, bits_per_pixel(num_bytes, *found.coded.pixels)
    return (
        f"{num_bytes} bytes, {rate:.3f} bits a pixel, PSNR {found.psnr:.2f} dB (the network {found.fitted.psnr[0]:.2f}), width "
        f"{shape.width}, depth {shape.depth}, {found.seconds:.1f} s of the processor"
    )


def decode_all(given: argparse.Namespace) -> None:
    """``decode``: files to PNG images."""
    size = None if given.size is None else (given.size[1], given.size[0])
    if size is not None and min(size) < 1:
        raise ValueError(f"--size {given.size[0]} {given.size[1]}: give a width and a height of at least 1")

    def do(source: Path, dest: Path) -> None:
        to_pil(read_coded(source.read_bytes(), str(source)).image(size)).save(dest)
        print(dest, flush=True)

    do_each(each_file(given.source, given.dest, takes=lambda path: path.suffix == SUFFIX, suffix=".png"), do)


def describe(coded: CodedImage, num_bytes: int) -> str:
    """What a file holds, in lines."""
    shape, (height, width) = coded.shape, coded.pixels
    used = sum(int((matrix != 0).sum()) for matrix in coded.numbers)
    lines = [
        f"{width} x {height} pixels, {'grey' if shape.channels == 1 else 'in colour'}",
        f"{num_bytes} bytes, {bits_per_pixel(num_bytes, height, width):.3f} bits a pixel",
        f"kernel {shape.kernel}, width {shape.width}, depth {shape.depth}{'' if shape.residual else ', without residual'}: "
        f"{shape.num_coefficients} coefficients, {used} of them not 0",
        f"steps of the layers, codes: {', '.join(map(str, coded.steps))}",
        f"scales of the layers, codes: {', '.join(map(str, coded.scales))}",
    ]
    return "\n".join(lines)


def show_info(given: argparse.Namespace) -> None:
    """``info``: what a file holds."""
    content = given.file.read_bytes()
    print(describe(read_coded(content, str(given.file)), len(content)))


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    coder = commands.add_parser("encode", help="images to files")
    coder.add_argument("source", type=Path, metavar="IMAGE", help="or a folder of images")
    coder.add_argument("dest", type=Path, metavar="FILE", help=f"a name that ends in {SUFFIX}, or a folder")
    target = coder.add_mutually_exclusive_group(required=True)
    target.add_argument("--bytes", type=int, help="at most so many")
    target.add_argument("--bits-per-pixel", type=float, help="at most so many")
    target.add_argument("--psnr", type=float, help="at least so many dB, in as few bytes as are found")
    effort = coder.add_mutually_exclusive_group()
    effort.add_argument("--seconds", type=float, help=f"of the processor, for fitting; {SECONDS:g} by default")
    effort.add_argument("--steps", type=int, help="of fitting, in place of seconds")
    coder.add_argument(
        "--threads", type=int, default=1, help="of fitting; --seconds counts those of all of them, waiting ones too"
    )
    coder.add_argument("--seed", type=int, default=0)
    coder.add_argument("--width", type=int, help="of the network; chosen for the target by default")
    coder.add_argument("--depth", type=int, default=Candidates.depth)
    coder.add_argument("--kernel", choices=KERNELS, default=Candidates.kernel)
    coder.add_argument(
        "--compile", action="store_true", help="compile the steps of fitting, which pays for long fits and for folders"
    )
    coder.set_defaults(do=encode_all)
    decoder = commands.add_parser("decode", help="files to images")
    decoder.add_argument("source", type=Path, metavar="FILE", help="or a folder of files")
    decoder.add_argument("dest", type=Path, metavar="IMAGE", help="a name that ends in .png, or a folder")
    decoder.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="in pixels; any")
    decoder.set_defaults(do=decode_all)
    info = commands.add_parser("info", help="what a file holds")
    info.add_argument("file", type=Path, metavar="FILE")
    info.set_defaults(do=show_info)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    try:
        given.do(given)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
