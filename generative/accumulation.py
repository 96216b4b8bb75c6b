"""A batch in equal parts: the means of its parts, averaged, are the means of the whole, and so are their gradients.

What compares images with each other does so within groups of neighbours, so that the same holds of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def parts(batch: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """``batch`` cut into ``count`` equal parts in order, each with the ``first_number`` of its own first image."""
    if count == 1:
        return [batch]
    num_images = len(batch["image"])
    if num_images % count:
        raise ValueError(
            f"the {num_images} images that a rank has of each batch cannot be cut into {count} equal parts: choose an "
            "accumulate that divides them"
        )
    size = num_images // count

    def part(start: int) -> dict[str, Any]:
        cut = {key: v[start : start + size] if isinstance(v, Tensor) else v for key, v in batch.items()}
        return cut | {"first_number": batch["first_number"] + start}

    return [part(start) for start in range(0, num_images, size)]


def groups(rows: Tensor, *, group_size: int) -> Tensor:
    """[B, ...] -> [B / group_size, group_size, ...], each of neighbours; ValueError where that leaves some over.

    What looks at the images of a group together, and at no other, gives the same on several ranks and in parts.
    """
    if len(rows) % group_size:
        raise ValueError(
            f"a batch of {len(rows)} cannot be cut into groups of {group_size}: choose a multiple, of each rank's "
            "images and of each part of them that accumulate makes"
        )
    return rows.unflatten(0, (-1, group_size))
