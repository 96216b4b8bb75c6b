"""Windows cut out of inspection images: around each defect, and where no defect is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.batches import Rows
from generative.randomness import Stream, permutation

TRIES = 40  # of a place without a defect, before the image is given up
SLACK = 4  # pixels between a faultless window's middle and a box


@dataclass(frozen=True)
class Windows:
    """``images`` uint8 [N, C, W, W], ``labels`` int64 [N] (the last class is faultless), ``origins`` int64 [N].

    ``origins`` are the numbers of the images that they were cut from. ``boxes`` [N, 4] float32 are the defect's edges in the
    window's pixels (zeros where there is none). ``twins`` and ``masks`` (uint8 [N, W, W], 1 on the defect) where the set has
    them. ``real`` [N] is 0 for what was made.
    """

    images: Tensor
    labels: Tensor
    origins: Tensor
    boxes: Tensor
    real: Tensor
    twins: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def chosen(self, numbers: Tensor) -> Windows:
        return Windows(*(None if part is None else part[numbers] for part in self.parts()))  # type: ignore[arg-type]

    def parts(self) -> tuple[Tensor | None, ...]:
        return self.images, self.labels, self.origins, self.boxes, self.real, self.twins, self.masks


def joined(parts: Sequence[Windows]) -> Windows:
    """Windows one after the other; twins and masks stay where all have them."""
    columns = zip(*(part.parts() for part in parts), strict=True)
    return Windows(*(None if any(one is None for one in column) else torch.cat(column) for column in columns))  # type: ignore[arg-type]


def cut(picture: Tensor, centre: tuple[int, int], side: int) -> Tensor:
    """The ``side`` x ``side`` pixels of [C, H, W] around ``centre`` (row, column); over the border its rim is repeated."""
    rows = (torch.arange(side) + centre[0] - side // 2).clamp(0, picture.shape[1] - 1)
    columns = (torch.arange(side) + centre[1] - side // 2).clamp(0, picture.shape[2] - 1)
    return picture[:, rows][:, :, columns]


@dataclass(frozen=True)
class BoxedSet:
    """Images [N, C, H, W] uint8 with boxes [N, K, 4] and their classes [N, K], -1 where there is none; twins and masks or None."""

    images: Rows
    boxes: Tensor
    box_labels: Tensor
    num_classes: int
    twins: Rows | None = None
    masks: Rows | None = None

    @staticmethod
    def of(images: Rows, targets: Mapping[str, Rows], num_classes: int) -> BoxedSet:
        boxes, labels = (torch.as_tensor(targets[name][:]) for name in ("boxes", "box_label"))  # type: ignore[index]
        return BoxedSet(images, boxes, labels, num_classes, targets.get("template"), targets.get("mask"))

    def places(self) -> Tensor:
        """All boxes: (image, which of its boxes) int64 [M, 2]."""
        return (self.box_labels >= 0).nonzero()

    def of_class(self, label: int, *, seed: int, name: str) -> Tensor:
        """The places of a class in an order of ``seed`` in which the first ones are of different images: int64 [M, 2]."""
        places = (self.box_labels == label).nonzero()
        order = permutation(seed, 0, len(places), name=f"real subset of {name}")
        seen: dict[int, int] = {}
        ranked: list[tuple[int, int, int]] = []
        for place in order.tolist():
            image = int(places[place, 0])
            seen[image] = seen.get(image, 0) + 1
            ranked.append((seen[image], len(ranked), place))
        return places[[place for _, _, place in sorted(ranked)]]

    def around(self, places: Tensor, side: int, *, real: bool) -> Windows:
        """Windows with their middles on the middles of the boxes ``places`` [M, 2]."""
        made = [self.window(int(image), self.middle(int(image), int(box)), side, int(box)) for image, box in places]
        labels = torch.tensor([int(self.box_labels[image, box]) for image, box in places], dtype=torch.int64)
        return assembled(made, labels, places[:, 0], real=real)

    def middle(self, image: int, box: int) -> tuple[int, int]:
        left, top, right, bottom = self.boxes[image, box].tolist()
        return round((top + bottom) / 2), round((left + right) / 2)

    def window(self, image: int, centre: tuple[int, int], side: int, box: int | None, *, twin: bool = False) -> Window:
        """One window; ``twin``: of the faultless twin, which is then its own twin."""
        twins, masks = (None if rows is None else rows[torch.tensor([image])][0] for rows in (self.twins, self.masks))
        picture = self.images[torch.tensor([image])][0]
        if twin:
            assert twins is not None
            picture, masks = twins, None if masks is None else torch.zeros_like(masks)
        first = torch.tensor([centre[1] - side // 2, centre[0] - side // 2] * 2, dtype=torch.float32)
        edges = torch.zeros(4) if box is None else self.boxes[image, box] - first
        mask = None
        if masks is not None:
            label = 0 if box is None else int(self.box_labels[image, box]) + 1
            mask = (cut(masks[None], centre, side)[0] == label).to(torch.uint8) * (label > 0)
        return Window(cut(picture, centre, side), edges, None if twins is None else cut(twins, centre, side), mask)

    def faultless(self, count: int, side: int, *, reach: int, seed: int, twins: bool) -> Windows:
        """``count`` windows in whose middle, ``reach`` pixels to each side, no box lies; every other from the twins if asked.

        ValueError where the images have no room for one.
        """
        made, origins = [], []
        size = len(self.images)
        for number in range(count):
            twin = twins and self.twins is not None and number % 2 == 1
            found = self.free_place(number, size, reach, seed, anywhere=twin)
            if found is None:
                raise ValueError(
                    "the images have no part without a defect: add faultless images, or a folder clean/ of twins, or give a "
                    "smaller size"
                )
            image, centre = found
            made.append(self.window(image, centre, side, None, twin=twin))
            origins.append(image)
        labels = torch.full((count,), self.num_classes, dtype=torch.int64)
        return assembled(made, labels, torch.tensor(origins), real=True)

    def free_place(
        self, number: int, size: int, reach: int, seed: int, *, anywhere: bool
    ) -> tuple[int, tuple[int, int]] | None:
        uniform = Stream(seed, "faultless windows").uniform(number, 1, TRIES, 3)[0]
        height, width = self.images[torch.tensor([0])].shape[2:]
        for row in uniform.tolist():
            image = int(row[0] * size)
            y, x = (
                reach + int(part * max(1, side - 2 * reach))
                for part, side in zip(row[1:], (height, width), strict=True)
            )
            left, top, right, bottom = self.boxes[image][self.box_labels[image] >= 0].T
            near = reach + SLACK
            hit = (left < x + near) & (right > x - near) & (top < y + near) & (bottom > y - near)
            if anywhere or not hit.any():
                return image, (y, x)
        return None


@dataclass(frozen=True)
class Window:
    image: Tensor
    box: Tensor
    twin: Tensor | None
    mask: Tensor | None


def assembled(made: Sequence[Window], labels: Tensor, origins: Tensor, *, real: bool) -> Windows:
    def stack(part: Callable[[Window], Tensor | None]) -> Tensor | None:
        rows = [part(one) for one in made]
        return None if any(row is None for row in rows) else torch.stack(rows)  # type: ignore[arg-type]

    if not made:
        raise ValueError("no image shows a defect: label some, in the training and in the test images")
    images, boxes = torch.stack([one.image for one in made]), torch.stack([one.box for one in made])
    count = torch.full((len(made),), int(real))
    twins, masks = stack(lambda one: one.twin), stack(lambda one: one.mask)
    return Windows(images, labels, origins, boxes, count, twins, masks)


def changed(windows: Windows, *, tolerance: int = 1, levels: int = 64) -> Tensor:
    """Where each window's defect is, bool [N, W, W]: its mask, else what differs from the twin within the box, else the box.

    A pixel differs where no pixel of the twin within ``tolerance`` is within ``levels`` of it.
    """
    if windows.masks is not None:
        return windows.masks > 0
    side = windows.images.shape[-1]
    at = torch.arange(side)
    left, top, right, bottom = (edge[:, None] for edge in windows.boxes.T)
    inside = ((at >= top) & (at < bottom))[:, :, None] & ((at >= left) & (at < right))[:, None]
    if windows.twins is None:
        return inside
    image, twin = (part.float().mean(dim=1, keepdim=True) for part in (windows.images, windows.twins))
    window = 2 * tolerance + 1
    high = F.max_pool2d(twin, window, 1, tolerance)
    low = -F.max_pool2d(-twin, window, 1, tolerance)
    return (((image > high + levels) | (image < low - levels))[:, 0]) & inside
