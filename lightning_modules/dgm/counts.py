"""Parameters of a network as chapter 5 counts them; what its tables print: docs/claims/dgm.yaml."""

from __future__ import annotations

from lightning_modules.dgm.networks import DGM, Level


def published_count(network: DGM, *, grid_size: int = 32) -> int:
    """Parameters, and the 2 N^2 numbers of the grid that each level which moves one of its own keeps and never changes.

    The released code keeps one grid for all levels.
    """
    grids = 0
    if network.bases is not None:
        movers = [level for level in network.levels if isinstance(level, Level) and level.affine is not None]
        grids = 1 if network.variant == "released" else 1 + len(movers)
    return sum(parameter.numel() for parameter in network.parameters()) + grids * 2 * grid_size**2
