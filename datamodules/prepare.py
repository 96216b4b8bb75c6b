"""Turn a folder, zip, tar archive or LMDB of images into one fast file set.

python -m datamodules.prepare SOURCE DEST --resolution 64 [--resolution 32] [--preset crop_bilinear] [--background white]

Splits are the top folders train, val and test, where there are such; classes are the folders below. Label files beside
the images (metadata.csv, LOC_val_solution.csv, val_annotations.txt, .cls) go before folders; a dataset.json, of StyleGAN's
tool, decides about classes alone: then folders mean nothing. A folder of archives, such as WebDataset's shards, is one set.
Photos are upright by their EXIF data, transparent parts on the background.
Started again after an interruption it goes on where it was. Images that cannot be read are named and left out.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    print(
        "datamodules.prepare: starting", file=sys.stderr, flush=True
    )  # before the imports, which take a second or more

import argparse
from pathlib import Path
from typing import Any

from datamodules.preparation import prepare
from datamodules.presets import PRESETS
from generative.rendering.containers.formats import counts_in_words
from generative.rendering.pictures import WHITE


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("dest", type=Path)
    parser.add_argument("--resolution", type=int, action="append", required=True, help="pixels a side; may be repeated")
    parser.add_argument("--preset", default="crop_bilinear", choices=sorted(PRESETS))
    parser.add_argument(
        "--channels", type=int, default=0, choices=(0, 1, 3), help="0: 1 if all images are grey, else 3"
    )
    parser.add_argument(
        "--background", default=WHITE, help="what transparent parts are shown on: a colour's name, or #rrggbb"
    )
    parser.add_argument("--no-classes", action="store_true", help="folders are no classes")
    parser.add_argument("--no-splits", action="store_true", help="folders called train, val or test are classes too")
    parser.add_argument(
        "--on-error", default="go-on", choices=("go-on", "stop", "accept"),
        help="images that cannot be used are left out, which is an error where most, or all of a class, are; stop at the first; "
        "accept any loss",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    given = read_arguments()
    # A name may hold bytes that are no text.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        facts = prepare(
            given.source, given.dest, resolutions=given.resolution, preset=given.preset, channels=given.channels,
            background=given.background,
            folders_are_classes=not given.no_classes, folders_are_splits=not given.no_splits, on_error=given.on_error,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        sys.exit(130)
    tell(facts)
    print(f"{given.dest} is ready: {facts['seconds']:g} s")


def tell(facts: dict[str, Any]) -> None:
    """What a finished set holds, and what was done to its images."""
    for split, found in facts["splits"].items():
        print(f"{split}: {found['count']} images of {len(facts['classes']) or 'no'} classes")
    for note in facts["notes"]:
        print(f"note: {note}")
    if facts["passed_over"]:
        print(f"passed over, as no images: {counts_in_words(facts['passed_over'])}")
    if facts["turned"]:
        print(f"turned upright, as their EXIF data say: {facts['turned']} images")
    if facts["transparent"]:
        print(f"transparent parts put on {facts['background']} (--background): {facts['transparent']} images")
    print(f"left out: {len(facts['skipped'])} images that cannot be used")
    for line in facts["skipped"]:
        print(f"  {line}")


if __name__ == "__main__":
    main()
