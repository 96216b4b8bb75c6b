"""How well the width and centre line of known fibres are found: geometric moments against squared differences (claim 9).

python -m docs.ledger.widths [--curves 40]      writes docs/results/defects/widths.jsonl, a minute or two of one core

Fibres of known shape and width are rendered with shading and noise. The width is searched on a grid of 0.1 pixels, once with
the curve where it is, once with the picture moved, turned or of another brightness.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from docs.ledger.results import DOCS, Line, write_results
from generative.rendering.defects.curves import Curve, fit, rendered_mask
from generative.rendering.defects.widths import (
    DISTURBANCES,
    MEASURES,
    SIDE,
    known_curve,
    looping_curve,
    pictured,
    searched,
)

FILE = "defects/widths"  # of docs/results


def centre_error(curve: Curve, found: Curve) -> float:
    """The mean distance of two centre lines from each other, both ways, in pixels."""
    a, b = curve.dense(step=0.05)[0], found.dense(step=0.05)[0]
    return float(cKDTree(a).query(b)[0].mean() + cKDTree(b).query(a)[0].mean()) / 2


def fits(curves: list[Curve]) -> tuple[np.ndarray, np.ndarray, int]:
    """The errors of centre lines and of widths [N] in pixels, and how many self-touching curves of ten were refused."""
    found = [fit(rendered_mask(curve, (SIDE, SIDE))) for curve in curves]
    centres = np.array([centre_error(curve, other) for curve, other in zip(curves, found, strict=True)])
    widths = np.array([np.median(b.widths) - a.widths[0] for a, b in zip(curves, found, strict=True)])
    return centres, widths, sum(is_refused(looping_curve(number)) for number in range(10))


def is_refused(curve: Curve) -> bool:
    try:
        fit(rendered_mask(curve, (SIDE, SIDE)))
    except ValueError:
        return True
    return False


def table(curves: list[Curve]) -> dict[str, dict[str, float]]:
    """For each disturbance and measure the mean absolute error of the width in pixels."""
    found = {}
    for name, by in DISTURBANCES.items():
        errors: dict[str, list[float]] = {measure: [] for measure in MEASURES}
        for number, curve in enumerate(curves):
            for measure, width in searched(pictured(curve, by, number=number), curve).items():
                errors[measure].append(abs(width - float(curve.widths[0])))
        found[name] = {measure: float(np.mean(values)) for measure, values in errors.items()}
    return found


def lines(curves: list[Curve]) -> Iterator[Line]:
    """What the fits of ``curves`` err by, then a line for each disturbance with the mean error of the width, in pixels."""
    centres, widths, refused = fits(curves)
    off = np.abs(widths)
    yield {
        "asked": "fits",
        "curves": len(curves),
        "centre_mean": round(float(centres.mean()), 3),
        "centre_most": round(float(centres.max()), 3),
        "width_mean": round(float(off.mean()), 3),
        "width_most": round(float(off.max()), 3),
        "refused_of_10": refused,
    }
    for name, row in table(curves).items():
        yield {"asked": "width", "disturbance": name, **{measure: round(error, 3) for measure, error in row.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=40)
    given = parser.parse_args()
    found = list(lines([known_curve(number) for number in range(given.curves)]))
    for line in found:
        print(", ".join(f"{key} {value}" for key, value in line.items()))
    print(write_results(FILE, found).relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
