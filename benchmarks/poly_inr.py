"""Poly-INR's synthesis: the folded affine parameters against the released formulation, written plainly.

python benchmarks/poly_inr.py [--quick]: a Markdown table and, as the last line, a JSON object. The peer has the same
weights and passes the same golden files (tests/lightning_modules/poly_inr). The floor is the time of the layers' matrix
products alone. Peers run interleaved; medians of the repetitions are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from callbacks.environment import environment
from generative.rendering.coordinates import coordinate_grid
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.poly_inr.plain import render_plainly


def interleaved(peers: dict[str, Callable[[], object]], *, repetitions: int) -> dict[str, list[float]]:
    """Seconds of each peer, taken in turn, so that a drift of the machine meets all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(repetitions + 1):
        for name, run in peers.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: seconds[1:] for name, seconds in times.items()}  # the first round warms up


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
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    return {
        "ratio": medians["plain"] / medians["folded"],
        "floor_share": medians["floor"] / medians["folded"],
        "plain_floor_share": medians["floor"] / medians["plain"],
        "folded_ms": 1000 * medians["folded"] / batch,
        "plain_ms": 1000 * medians["plain"] / batch,
        "floor_ms": 1000 * medians["floor"] / batch,
        "relative_error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under a minute")
    quick = parser.parse_args().quick
    sizes = (
        [{"width": 128, "resolution": 32, "batch": 4, "repetitions": 5}]
        if quick
        else [{"width": 1024, "resolution": size, "batch": 1, "repetitions": 5} for size in (32, 64)]
    )
    results = {}
    print(f"{environment('cpu')['processor']}, torch {torch.__version__}, {torch.get_num_threads()} threads, float32\n")
    print(
        "| row | plain / folded | floor / folded | floor / plain | folded ms | plain ms | floor ms | relative error |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for size in sizes:
        name = f"poly_inr_folded_n{size['width']}_{size['resolution']}px"
        row = measure(**size)
        results[name] = {key: float(f"{value:.4g}") for key, value in row.items()}
        print(f"| {name} | " + " | ".join(f"{value:.3g}" for value in row.values()) + " |", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
