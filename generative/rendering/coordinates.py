"""Where the pixels of an image lie in the unit square."""

from __future__ import annotations

import torch
from torch import Tensor

Window = tuple[float, float]
UNIT_WINDOW: Window = (0.0, 1.0)


def coordinate_grid(
    height: int,
    width: int,
    *,
    window: Window = UNIT_WINDOW,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Positions [height, width, 2] as (row / (height - 1), column / (width - 1)), dissertation eq. 6.2.

    The corner pixels lie on the corners of the square, so grids whose sizes less one divide each other share
    points: every ninth pixel of a 64 x 64 grid is the 8 x 8 grid. ``window`` (from, to) replaces [0, 1] on
    both axes: (-0.25, 1.25) looks beyond the border.
    """
    if height < 2 or width < 2:
        raise ValueError(f"resolution must be at least 2 pixels a side, got {height} x {width}")
    low, high = window
    if not low < high:
        raise ValueError(f"a window runs from its lower to its higher end, got ({low}, {high})")
    # Integer steps divided once: linspace would not give bit-equal points on grids that share them.
    rows = torch.arange(height, device=device, dtype=dtype) / (height - 1)
    columns = torch.arange(width, device=device, dtype=dtype) / (width - 1)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
    return grid if window == UNIT_WINDOW else low + (high - low) * grid
