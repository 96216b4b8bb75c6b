"""From a few real defects to a labelled set: learn how they look, then draw any number on faultless pictures.

python -m datamodules.synthesize fit DATA --num-real 20 --seed 0 -o line3.yaml
python -m datamodules.synthesize draw line3.yaml --clean FOLDER --count 400 -o FOLDER
python -m datamodules.synthesize check line3.yaml DATA
python -m datamodules.synthesize figures DATA --clean FOLDER -o FOLDER

DATA is DeepPCB's folder, or one with boxes in COCO's format (train.json and train/, masks as polygons or run lengths, faultless
twins of the same names in clean/). `fit` writes what it learned of at most so many defects a class, and fit.png beside it.
`draw` writes a set in COCO's format (train.json, train/, clean/, parameters.jsonl, sheet.png); started again it goes on where
it was. With --refine CHECKPOINT what is drawn passes through a network that has learned from the real ones. `check` compares
the boxes that the recipe would give with those of defects that it was not learned from. `figures` draws the steps: rendered
fibres, fits of curves, blends, polygons and their fill.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    print("datamodules.synthesize: starting", file=sys.stderr, flush=True)  # before the imports, which take a second

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datamodules.synthesis.checking import check_boxes
from datamodules.synthesis.drawing import PER_IMAGE, Drawing, Plan
from datamodules.synthesis.figures import draw_figures
from datamodules.synthesis.fitting import fit
from datamodules.synthesis.painting import SHAPES, Style
from datamodules.synthesis.reading import choose, clean_images, names_for_config, pixels_of, read_examples
from datamodules.synthesis.recipe import FAMILIES, PLACES, read_recipe
from datamodules.synthesis.sheets import drawn_sheet, fit_sheet, fit_title
from generative.rendering.defects.backends import MODULES


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fit", help="learn a recipe from a few real defects")
    one.add_argument("data", type=Path)
    one.add_argument("--num-real", type=int, default=20, help="defects of each class that are looked at")
    one.add_argument("--allow-fewer", action="store_true", help="take what there is of a class that has not so many")
    one.add_argument("--seed", type=int, default=0, help="which ones; fewer of a seed are among more of it")
    one.add_argument(
        "--family", action="append", default=[], metavar="CLASS=FAMILY", help=f"draw a class as {', '.join(FAMILIES)}"
    )
    one.add_argument("-o", "--output", type=Path, required=True, help="the recipe, a .yaml file")
    two = commands.add_parser("draw", help="draw defects on faultless pictures")
    two.add_argument("recipe", type=Path)
    two.add_argument(
        "--clean", type=Path, required=True, help="folder of faultless pictures, or of DeepPCB: its templates"
    )
    two.add_argument("--count", type=int, required=True, help="pictures")
    two.add_argument("--seed", type=int, default=0)
    two.add_argument("--per-image", type=int, nargs=2, default=PER_IMAGE, metavar=("FEWEST", "MOST"), help="defects")
    two.add_argument("--renderer", default="numpy", choices=sorted(MODULES), help="of fibres")
    two.add_argument("--alpha", type=float, default=1.0, help="of eq. 3.1; 0.3 is the printed value")
    two.add_argument(
        "--whole-tile", action="store_true", help="eq. 3.1 to the letter: alpha dims the tile around the defect"
    )
    two.add_argument("--shapes", default="matched", choices=SHAPES, help="random: of no real defect, the comparison's")
    two.add_argument("--place", choices=PLACES, help="instead of what the recipe says of each class")
    two.add_argument(
        "--refine",
        type=Path,
        metavar="CHECKPOINT",
        help="of experiment=defects/refiner, filler, style_transfer or cycle",
    )
    two.add_argument(
        "--named-by",
        type=Path,
        metavar="CHECKPOINT",
        help="a classifier of patches, for what --refine drew of any class",
    )
    two.add_argument("--least-chance", type=float, default=0.9, help="of the class that it names; else it is left out")
    two.add_argument("-o", "--output", type=Path, required=True, help="a new folder, or one that this command began")
    three = commands.add_parser("check", help="boxes of other real defects against those that the recipe would give")
    three.add_argument("recipe", type=Path)
    three.add_argument("data", type=Path)
    three.add_argument("--most", type=int, default=600, help="defects that are compared")
    four = commands.add_parser("figures", help="pictures of the steps: figures 3.3 to 3.7 of the chapter")
    four.add_argument("data", type=Path)
    four.add_argument("--clean", type=Path, required=True, help="folder of faultless pictures")
    four.add_argument("--num-real", type=int, default=6, help="defects of each class, or as many as there are")
    four.add_argument("--seed", type=int, default=0)
    four.add_argument("--renderer", default="numpy", choices=sorted(MODULES), help="of figure 3.3")
    four.add_argument("-o", "--output", type=Path, required=True, help="folder of the pictures")
    return parser.parse_args(words)


def run_fit(given: argparse.Namespace) -> None:
    if given.output.suffix not in (".yaml", ".yml"):
        raise ValueError(f"-o {given.output} should be a .yaml file")
    start = time.perf_counter()
    examples = read_examples(given.data)
    chosen = choose(examples, num_real=given.num_real, seed=given.seed, fewer=given.allow_fewer)
    families = families_of(given.family)
    with tqdm(total=sum(map(len, chosen.values())), desc="fit", unit="defects") as bar:
        found = fit(
            examples, chosen, num_real=given.num_real, seed=given.seed, families=families, step=lambda: bar.update()
        )
    found.write(given.output)
    sheet = given.output.parent / "fit.png"
    fit_sheet(found).save(sheet)
    for name, learned in found.recipe.classes.items():
        print(f"{name}: {fit_title(learned)}" + (f" ({learned.note})" if learned.note else ""))
    margins = ", ".join(f"{margin:g}" for margin in found.recipe.boxes.margins)
    print(f"boxes lie outside the defects' pixels by {margins} (left, top, right, bottom; medians)")
    print(f"{given.output} and {sheet} are ready: {time.perf_counter() - start:.1f} s")


def families_of(words: Sequence[str]) -> dict[str, str]:
    """``CLASS=FAMILY`` of the command line."""
    found = {}
    for word in words:
        name, sign, family = word.rpartition("=")
        if not sign or family not in FAMILIES:
            raise ValueError(f"--family {word}: give CLASS=FAMILY with one of {', '.join(FAMILIES)}")
        found[name] = family
    return found


def run_draw(given: argparse.Namespace) -> None:
    start = time.perf_counter()
    recipe = read_recipe(given.recipe)
    style = Style(given.renderer, given.alpha, given.whole_tile, given.shapes, given.place)
    low, high = given.per_image
    plan = Plan(given.count, given.seed, (low, high), style)
    translation = None
    if given.refine is not None:
        from launch.translation import translation_of  # takes seconds, and most drawing needs none

        translation = translation_of(
            given.refine, recipe, seed=given.seed, named_by=given.named_by, least_chance=given.least_chance
        )
    elif given.named_by is not None:
        raise ValueError("--named-by names what --refine drew: give both, or leave it out")
    drawing = Drawing(given.recipe, recipe, clean_images(given.clean), plan, given.output, translation)
    done = drawing.start()
    for number in tqdm(drawing.missing(), initial=done, total=given.count, desc="draw", unit="pictures"):
        drawing.draw(number)
    counts = drawing.finish()
    refused = drawing.refused()
    if refused and not counts:
        raise ValueError(
            f"none of {refused.total()} defects shows after {given.refine}: train it longer, and look at its samples first"
        )
    rows = [drawing.rows[number] for number in range(given.count)]
    drawn_sheet(rows, given.output, drawing.names).save(given.output / "sheet.png")
    failed = drawing.failed()
    for name in drawing.names:
        without = f", {failed[name]} more found no place that fits" if failed[name] else ""
        unseen = f", {refused[name]} more show nothing or too much after {given.refine}" if refused[name] else ""
        print(f"{name}: {counts[name]} drawn{without}{unseen}")
    print(
        f"{given.output} is ready: {given.count} pictures, {sum(counts.values())} defects, {time.perf_counter() - start:.1f} s"
    )
    print(
        f"read it by datamodule=inspection datamodule.data_dir={given.output} 'datamodule.classes={names_for_list(drawing.names)}'"
    )


def names_for_list(names: Sequence[str]) -> str:
    return names_for_config(names).partition("datamodule.classes=")[2].rstrip("'")


def run_check(given: argparse.Namespace) -> None:
    recipe = read_recipe(given.recipe)
    found = check_boxes(recipe, read_examples(given.data), most=given.most)
    print("class | defects | IoU by the recipe | IoU of tight boxes | at IoU 0.5 | tight at 0.5")
    rows = [*found.items(), ("all", [pair for pairs in found.values() for pair in pairs])]
    for name, pairs in rows:
        values = np.array(pairs)
        means, hits = values.mean(axis=0), (values >= 0.5).mean(axis=0)
        print(f"{name} | {len(pairs)} | {means[0]:.3f} | {means[1]:.3f} | {hits[0]:.3f} | {hits[1]:.3f}")


def run_figures(given: argparse.Namespace) -> None:
    examples = read_examples(given.data)
    chosen = choose(examples, num_real=given.num_real, seed=given.seed, fewer=True)
    found = fit(examples, chosen, num_real=given.num_real, seed=given.seed, families={})
    cleans = [pixels_of(path, channels=found.recipe.channels) for path in clean_images(given.clean)[:4]]
    for path in draw_figures(found, cleans, given.output, name=given.renderer):
        print(path)


def main() -> None:
    given = read_arguments()
    try:
        {"fit": run_fit, "draw": run_draw, "check": run_check, "figures": run_figures}[given.command](given)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
