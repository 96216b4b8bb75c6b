"""Poly-INR's synthesis: the folded affine parameters against the released formulation, written plainly.

python benchmarks/poly_inr.py [--quick]: a Markdown table and, as the last line, a JSON object. The peer has the same
weights and passes the same golden files (tests/lightning_modules/poly_inr). The floor is the time of the layers' matrix
products alone. Peers run interleaved; medians of the repetitions are compared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Table, interleaved
from generative.rendering.coordinates import coordinate_grid
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.poly_inr.plain import render_plainly


@torch.no_grad()
def measure(*, width: int, resolution: int, batch: int, repetitions: int) -> dict[str, float]:
    torch.manual_seed(0)
    generator = Generator(image_channels=3, width=width)
    ws = torch.randn(batch, generator.num_levels, 512)
    grid = coordinate_grid(resolution, resolution)
    weights = [torch.randn(width, width) for _ in generator.synthesis.levels]
    rows = torch.randn(batch * resolution**2, width)

    folded = generator.render(generator.heads(ws), grid)
    plain = render_plainly(generator, ws, grid)
    error = float((folded - plain).abs().max() / plain.abs().max())
    times = interleaved(
        {
            "folded": lambda: generator.render(generator.heads(ws), grid),
            "plain": lambda: render_plainly(generator, ws, grid),
            # The plain formulation multiplies at every level; the folded one has folded level 0 away.
            "floor": lambda: [torch.mm(rows, weight) for weight in weights[1:]],
        },
        repetitions=repetitions,
    )
    medians = {name: taken.median for name, taken in times.items()}
    return {
        "ratio": medians["plain"] / medians["folded"],
        "cpu_ratio": times["plain"].cpu_median / times["folded"].cpu_median,
        "floor_share": medians["floor"] / medians["folded"],
        "plain_floor_share": medians["floor"] / medians["plain"],
        "folded_ms": 1000 * medians["folded"] / batch,
        "plain_ms": 1000 * medians["plain"] / batch,
        "floor_ms": 1000 * medians["floor"] / batch,
        "relative_error": error,
    }


COLUMNS = [
    "ratio",
    "cpu_ratio",
    "floor_share",
    "plain_floor_share",
    "folded_ms",
    "plain_ms",
    "floor_ms",
    "relative_error",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under a minute")
    quick = parser.parse_args().quick
    sizes = (
        [{"width": 128, "resolution": 32, "batch": 4, "repetitions": 5}]
        if quick
        else [{"width": 1024, "resolution": size, "batch": 1, "repetitions": 5} for size in (32, 64)]
    )
    table = Table(COLUMNS)
    for size in sizes:
        table.add(f"poly_inr_folded_n{size['width']}_{size['resolution']}px", measure(**size))
    table.print_json()


if __name__ == "__main__":
    main()
