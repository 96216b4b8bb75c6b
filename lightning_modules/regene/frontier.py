"""What a user chooses between: samplers and their dials by fidelity, coverage, copying and worth as training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_modules.base import Classifies, ImageData
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.samplers import Asked, measured_rows, write_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FAMILIES = {  # each joined by a line: the dial is the number of sources, or the width of the kernel
    "means": ("convex_2", "convex_3", "convex_5", "convex_10"),
    "variance kept": ("variance_2", "variance_3", "variance_5", "variance_10"),
    "kernel density": ("kernel_0.25", "kernel_0.5", "kernel_0.75"),
    "random weights": ("dirichlet_2", "dirichlet_3", "dirichlet_5"),
    "densities": ("gaussian", "mixture_3", "flow"),
    "SMOTE": ("smote",),
    "with details": ("variance_2_filtered_detailed",),
    "memorised": ("training",),
    "means of pixels": ("pixels_2", "pixels_3"),
    "training images": ("images",),
}
PANELS = (("recall", "precision"), ("authenticity", "tstr_accuracy"))
SAID = {
    "recall": "recall: how much of the real images is covered",
    "precision": "precision: how many images lie among the real ones",
    "authenticity": "authenticity: share of images that copy no training image",
    "tstr_accuracy": "accuracy of a student of these images",
}


def frontier(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    judge: list[Classifies] | None = None,
    count: int = 1797,
    reference: str = "all",
    num_reference: int | None = None,
) -> list[Path]:
    """What task samplers measures, of every family of samplers along its dial, in a table and in a picture.

    Memorised latents, training images and means of pixels are drawn in: a sampler that does not beat them is not worth its
    decoder. ``judge``, ``count``, ``reference`` and ``num_reference`` are those of task samplers; the picture is of the last
    features asked for, those of the judge or raw pixels.
    """
    asked = Asked(count=count, reference=reference, num_reference=num_reference, seed=seed)
    arms = [arm for family in FAMILIES.values() for arm in family]
    rows = measured_rows(method, arms, datamodule, judge, asked, title="frontier")
    shown = [row for row in rows if row["extractor"] == rows[-1]["extractor"]]
    picture = output / "frontier.png"
    written = write_rows(rows, output, "frontier")
    frontier_figure(shown).savefig(picture, dpi=90)
    return [*written, picture]


def frontier_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Arms by recall and precision, and by authenticity and worth; each family a line, each point called by its arm.

    ``rows`` have ``arm`` and the measures, all in the same features; arms of no family are left out.
    """
    from matplotlib.figure import Figure  # a second that no other task waits for

    by_arm = {row["arm"]: row for row in rows if "gave_up" not in row}
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    for axes, (across, up) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for number, (family, arms) in enumerate(FAMILIES.items()):
            points = [(by_arm[arm][across], by_arm[arm][up], arm) for arm in arms if arm in by_arm]
            if not points:
                continue
            x, y, names = zip(*points, strict=True)
            is_dial = family not in ("densities", "means of pixels")
            axes.plot(x, y, marker="o", linestyle="-" if is_dial else "", color=f"C{number}", label=family)
            for place in range(len(names)):
                axes.annotate(names[place], (x[place], y[place]), xytext=(4, 3), textcoords="offset points", fontsize=7)
        axes.set_xlabel(SAID[across])
        axes.set_ylabel(SAID[up])
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(FAMILIES), fontsize=8
    )
    figure.suptitle(f"in {rows[0]['extractor']}, against {rows[0]['reference']}")
    return figure
