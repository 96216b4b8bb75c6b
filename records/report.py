"""report.html: one self-contained page about a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from records.environment import environment
from records.pages import curves, data_address, page, thin
from records.run_files import CLOCK, REAL_IMAGES, grid_facts, grids, read_lines, read_metrics, replace_text

MAX_FRAMES = 24  # grids of each size that the page carries, spread over the run
MAX_POINTS = 500  # of a curve


def pictures(samples: Path) -> dict[str, Any]:
    """What the page shows of a run's samples, each picture as a data address.

    ``frames``: size such as ``64px`` -> its grids in time with their kimg. ``real``: the real images beside them, if any.
    """
    by_size = grids(samples)
    # The same share for the first picture as for the last: none is encoded anew when others join it.
    share = 1 / (MAX_FRAMES * len(by_size) + 1)
    real = samples / REAL_IMAGES
    return {
        "frames": {
            size: [
                {"kimg": grid_facts(path)[0], "image": data_address(path, share=share)}
                for path in thin(paths, MAX_FRAMES)
            ]
            for size, paths in by_size.items()
        },
        "real": data_address(real, share=share) if real.exists() else None,
    }


def write_report(
    run_dir: Path, *, title: str, config: dict[str, Any], status: str, max_kimg: float, device_type: str
) -> Path:
    """Make ``run_dir/report.html`` from the run's files; the old page stays until the new one is whole."""
    rows = read_metrics(run_dir / "metrics.csv")
    data = {
        "title": title,
        "status": status,
        "updated": time.strftime("%Y-%m-%d %H:%M:%S"),
        "kimg": rows[-1][CLOCK] if rows else 0.0,
        "maxKimg": max_kimg,
        "curves": curves(rows, max_points=MAX_POINTS),
        **pictures(run_dir / "samples"),
        "results": read_lines(run_dir / "results.jsonl"),
        "config": yaml.safe_dump(config, sort_keys=False),
        "environment": environment(device_type),
    }
    path = run_dir / "report.html"
    replace_text(path, page("report", title=title, data=data))
    return path
