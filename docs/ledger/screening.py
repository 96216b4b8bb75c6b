"""Leave out the worst of the drawn pictures, by scores that need no person: python -m docs.ledger.screening DRAWN DATA -o FOLDER

python -m docs.ledger.screening data/line3_synthetic data/line3 --num-real 20 --seed 0 --keep 0.8 -o data/line3_screened

DRAWN is a folder that `python -m datamodules.synthesize draw` made, or another one in COCO's format with masks and faultless
twins; DATA the set of the real defects, of which --num-real of a class are looked at, the same ones that `fit` took. A picture
is as bad as its worst score says: the change of its background, and how far one of its defects lies from the real ones of its
class in features of EfficientNet-Lite0 (metrics/screening.py), each by its rank among the pictures. FOLDER is a set like DRAWN;
`scores.jsonl` has a line for each picture, and `worst.png` shows what was left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from datamodules.base import ImageDataModule
from datamodules.defect_patches import boxed_set, drawn_sets, known
from datamodules.patches.augmentation import middle, window_side
from datamodules.patches.windows import joined
from docs.ledger.gain_arms import SIZE, source_of
from docs.ledger.screening_scores import scores_of
from generative.rendering.images import from_uint8, image_grid
from launch.errors import one_line_errors

NUM_SHOWN, COLUMNS = 24, 8


def write_kept(folder: Path, kept: set[str], output: Path) -> None:
    """The pictures ``kept`` of a drawn set as a set of their own; ValueError where ``output`` holds something."""
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"{output} is not empty: give another -o")
    facts = json.loads((folder / "train.json").read_text())
    images = [image for image in facts["images"] if image["file_name"] in kept]
    numbers = {image["id"] for image in images}
    annotations = [row for row in facts["annotations"] if row["image_id"] in numbers]
    for part in ("train", "clean"):
        (output / part).mkdir(parents=True)
        for name in sorted(kept):
            shutil.copyfile(folder / part / name, output / part / name)
    (output / "train.json").write_text(json.dumps({**facts, "images": images, "annotations": annotations}))
    lines = (folder / "parameters.jsonl").read_text().splitlines()
    of_kept = [line for line in lines if json.loads(line)["file_name"] in kept]
    (output / "parameters.jsonl").write_text("".join(f"{line}\n" for line in of_kept))


def screen(given: argparse.Namespace) -> None:
    source: ImageDataModule = source_of(given.data)
    side, names = window_side(given.size), source.target_classes
    real = known(boxed_set(source, "train"), names, side, num_real=given.num_real, seed=given.seed)
    drawn = drawn_sets(given.drawn, source)
    windows = [boxed.around(boxed.places(), side, real=False) for _, boxed in drawn]
    scores = scores_of([(boxed, some) for (_, boxed), some in zip(drawn, windows, strict=True)], real, given.size)
    files = [path.name for paths, _ in drawn for path in paths]
    kept = {files[number] for number in scores.kept(given.keep)}
    write_kept(given.drawn, kept, given.output)
    lines = [
        {"file_name": name, "distortion": round(change, 3), "ratio": round(ratio, 3), "kept": name in kept}
        for name, change, ratio in zip(files, scores.distortion.tolist(), scores.ratio.tolist(), strict=True)
    ]
    lines.sort(key=lambda line: str(line["file_name"]))
    (given.output / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    firsts = np.cumsum([0, *(len(paths) for paths, _ in drawn)])
    origins = np.concatenate([some.origins.numpy() + first for some, first in zip(windows, firsts, strict=False)])
    order = np.argsort(-scores.badness()[origins], kind="stable")[:NUM_SHOWN]
    shown = middle(joined(windows).images[torch.from_numpy(order)], given.size)
    image_grid(from_uint8(shown), num_columns=COLUMNS).save(given.output / "worst.png")
    print(f"{given.output}: {len(kept)} of {len(files)} pictures kept; worst.png shows defects of the worst ones")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawn", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--num-real", type=int, default=20, help="real defects of each class, as `fit` took")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--size", type=int, default=SIZE, help="pixels of what is compared around a defect")
    parser.add_argument("--keep", type=float, default=0.8, help="share of the pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new folder")
    with one_line_errors():
        screen(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
