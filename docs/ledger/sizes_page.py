"""The chart of Figure 5.1, what follows of its cells, and its section of docs/results/fits.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING

from docs.ledger.inpainting_page import bullet, paragraph
from docs.ledger.results import RESULTS, Line, interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "dfm/sizes"
FALLS = "dfm/sizes_falls"
CHART = RESULTS / "dfm" / "sizes.png"
GRID = ("size", "steps", "networks")  # what all cells share
CELL = ("recipe", "image", "depth", "width")  # tells them apart
STYLES = ("-", "--", ":", "-.")  # of recipes


def means(lines: Sequence[Line]) -> dict[tuple[str, str, int, int], float]:
    """The mean PSNR of the networks of a cell, by recipe, image, depth and width."""
    return {
        (line["recipe"], line["image"], line["depth"], line["width"]): fmean(line["psnr"])
        for line in sorted(lines, key=lambda line: (line["recipe"], line["image"], line["depth"], line["width"]))
    }


def falls(lines: Sequence[Line]) -> list[Line]:
    """Of each recipe how often the mean PSNR of a cell rises to the next larger one, by ``width`` and by ``depth``.

    ``pairs`` are cells of one image and recipe that are neighbours in the grid, ``rises`` those of them where the larger is
    better, ``least`` and ``most`` what it gains, in dB.
    """
    found = means(lines)
    rows: list[Line] = []
    for recipe in dict.fromkeys(line["recipe"] for line in lines):
        for by in ("width", "depth"):
            gains = [
                found[recipe, *after] - found[recipe, *before]
                for before, after in neighbours([key[1:] for key in found if key[0] == recipe], by)
            ]
            rows.append(
                {
                    "recipe": recipe,
                    "by": by,
                    "pairs": len(gains),
                    "rises": sum(gain > 0 for gain in gains),
                    "share": round(sum(gain > 0 for gain in gains) / max(1, len(gains)), 3),
                    "least": round(min(gains, default=math.nan), 3),
                    "most": round(max(gains, default=math.nan), 3),
                }
            )
    return rows


def neighbours(
    cells: Sequence[tuple[str, int, int]], by: str
) -> Iterator[tuple[tuple[str, int, int], tuple[str, int, int]]]:
    """Pairs of (image, depth, width) that differ in ``by`` alone, the next larger one second."""
    lines: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    for image, depth, width in sorted(cells):
        lines.setdefault((image, depth if by == "width" else width), []).append((image, depth, width))
    for own in lines.values():
        yield from pairwise(sorted(own))


def section(lines: Sequence[Line]) -> Iterator[str]:
    """What docs/results/fits.md says of the grid; nothing where nothing was measured."""
    if not lines:
        return
    first = lines[0]
    yield from ("## Figure 5.1: width and depth", "")
    widths, depths = (sorted({line[key] for line in lines}) for key in ("width", "depth"))
    yield from paragraph(
        f"Widths {', '.join(map(str, widths))} and depths {', '.join(map(str, depths))}, {first['networks']} networks a cell, "
        f"{first['size']} x {first['size']} pixels, {first['steps']} steps. A point is the mean of a cell, and its bar the "
        "95 % interval over starts (Student's t)."
    )
    yield from ("![PSNR against coefficients, a line a depth](dfm/sizes.png)", "")
    for row in falls(lines):
        if row["pairs"]:
            yield bullet(
                f"`{row['recipe']}`: of {row['pairs']} steps to the next {row['by']} {row['rises']} raise the mean PSNR, "
                f"by {row['least']:+.1f} to {row['most']:+.1f} dB."
            )
    collapsed = sum(line["collapsed"] for line in lines)
    yield bullet(f"Collapsed: {collapsed} of {sum(len(line['psnr']) for line in lines)} networks.")
    yield ""


def chart(lines: Sequence[Line]) -> Figure:
    """A panel an image: PSNR against the number of coefficients, a line a depth, dashed for a further recipe."""
    from matplotlib.figure import Figure

    images = sorted({line["image"] for line in lines})
    depths, recipes = (list(dict.fromkeys(sorted(line[key] for line in lines))) for key in ("depth", "recipe"))
    columns = min(2, len(images))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, image in zip(panels, images, strict=False):
        for (place, depth), (style, recipe) in (
            (colour, line) for line in zip(STYLES, recipes, strict=False) for colour in enumerate(depths)
        ):
            own = [line for line in lines if (line["image"], line["depth"], line["recipe"]) == (image, depth, recipe)]
            if not own:
                continue
            own.sort(key=lambda line: line["coefficients"])
            middles, halves = zip(*(interval(line["psnr"]) for line in own), strict=True)
            axes.errorbar(
                [line["coefficients"] for line in own], middles, [0.0 if math.isnan(half) else half for half in halves],
                color=f"C{place}", linestyle=style, marker="o", markersize=3, capsize=2, label=f"depth {depth}, {recipe}",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_title(image, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.set_xlabel("coefficients", fontsize=8)
    for axes in list(figure.axes)[len(images) :]:
        axes.set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.supylabel("PSNR, dB", fontsize=9)
    return figure
