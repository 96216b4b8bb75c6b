"""What the rendered world holds, without anything that draws it: its classes, its sizes, and the number of its version."""

from __future__ import annotations

CLASSES = (
    "foreign material",
    "component",
    "crack",
    "excess epoxy",
    "missing epoxy",
    "epoxy on die",
    "scratch",
    "missing die",
    "other",
)
CLEAN = "clean"  # of images without a defect
PRODUCTS = 12  # that the boards are of
SMALLEST, LARGEST = 64, 2048  # pixels a side
VERSION = 1  # to be raised where the same settings draw other pixels: cached sets are named by it
