"""What makes a defect of a circuit board what it is: how many pieces of copper and of bare board there are with it and without.

A defect adds to one of two phases, copper or board, and takes from the other. The three primitives are told apart by counts:

| primitive | pieces of the phase it adds to | of the other phase | adds copper | adds board |
|---|---|---|---|---|
| bridge | fewer: it joins what was apart | | short | open |
| bump | as many | as many | spur | mousebite |
| island | one more | as many | copper | pin-hole |

Copper is connected over corners too (8 neighbours), board over edges alone (4), so that no pixel crossing belongs to both.
Counts are those of a window around the defect: what is joined far away is apart where an eye looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

COPPER_NEIGHBOURS = np.ones((3, 3), dtype=bool)
BOARD_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)
MARGIN = 12  # pixels of the window around a mask
CRUMB = 12  # pixels: smaller pieces are crumbs of a ragged defect, and count for nothing
PRIMITIVES = ("bridge", "bump", "island")


@dataclass(frozen=True)
class Change:
    """How many pieces more there are of the phase that a defect adds to, and of the other one."""

    added_to: int
    other: int


@dataclass(frozen=True)
class Kind:
    """The primitive that a mask is, or None; ``ragged``: it is one only where crumbs are left out of the count."""

    primitive: str | None
    ragged: bool


def pieces(phase: np.ndarray, *, neighbours: np.ndarray, least: int = 1) -> int:
    """How many connected pieces of at least so many pixels a bool [H, W] has."""
    labels, count = ndimage.label(phase, neighbours)
    if least <= 1 or not count:
        return count
    return int((np.bincount(labels.ravel())[1:] >= least).sum())


def window(mask: np.ndarray, *, margin: int = MARGIN) -> tuple[slice, slice]:
    """The rows and columns of a mask [H, W] and ``margin`` pixels around it; ValueError for an empty mask."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        raise ValueError("the mask is empty: it marks no pixel of a defect")
    height, width = mask.shape
    return (
        slice(max(0, rows[0] - margin), min(height, rows[-1] + margin + 1)),
        slice(max(0, columns[0] - margin), min(width, columns[-1] + margin + 1)),
    )


def change(copper: np.ndarray, mask: np.ndarray, *, adds_copper: bool, least: int = 1) -> Change:
    """What adding ``mask`` to one phase of ``copper`` (both bool [H, W]) changes in the counts of pieces."""
    after = copper | mask if adds_copper else copper & ~mask
    of_copper = pieces(after, neighbours=COPPER_NEIGHBOURS, least=least) - pieces(
        copper, neighbours=COPPER_NEIGHBOURS, least=least
    )
    of_board = pieces(~after, neighbours=BOARD_NEIGHBOURS, least=least) - pieces(
        ~copper, neighbours=BOARD_NEIGHBOURS, least=least
    )
    return Change(of_copper, of_board) if adds_copper else Change(of_board, of_copper)


def primitive_of(found: Change) -> str | None:
    """The row of the table that a change is; None: of none, such as a loop from a piece to itself."""
    if found.added_to < 0 and found.other <= -found.added_to:  # n pieces joined part the other phase at most n times
        return "bridge"
    if found == Change(0, 0):
        return "bump"
    if found == Change(1, 0):
        return "island"
    return None


def kind_of(copper: np.ndarray, mask: np.ndarray, *, adds_copper: bool) -> Kind:
    """What ``mask`` [H, W] is on ``copper`` [H, W], by its window. Only pixels that change a phase count."""
    mask = mask & (copper ^ adds_copper)
    if not mask.any():
        return Kind(None, ragged=False)
    place = window(mask)
    patch, part = copper[place], mask[place]
    strict = primitive_of(change(patch, part, adds_copper=adds_copper))
    if strict is not None:
        return Kind(strict, ragged=False)
    # An added crumb is a piece more, a hole left in the defect one of the other phase.
    return Kind(primitive_of(change(patch, part, adds_copper=adds_copper, least=CRUMB)), ragged=True)
