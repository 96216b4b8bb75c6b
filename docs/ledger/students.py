"""Small classifiers that are taught what an arm made, all of them as long: what made images are good for is read off them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generative.randomness import permutation
from generative.rendering.images import from_uint8
from generative.schedules import half_cosine
from lightning_modules.regene.networks import Encoder

LARGEST_MAP = 4  # pixels a side of the last map, to which images are halved
AT_ONCE = 1024  # images that are named together


@dataclass(frozen=True)
class Lesson:
    """How every student of a comparison is taught: ``steps`` of Adam by batches of ``batch_size``, down a cosine from ``rate``."""

    steps: int = 600
    batch_size: int = 64
    width: int = 32
    rate: float = 2e-3


def new_student(shape: tuple[int, int, int], num_classes: int, *, width: int, seed: int) -> Encoder:
    """A network of 3 x 3 convolutions, two of them before the first pooling, whose first weights are those of ``seed``."""
    side, levels = shape[1], 1
    while side > LARGEST_MAP:
        side, levels = side // 2, levels + 1
    plan = [[3, 3], *([3] for _ in range(levels - 1))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(
            image_channels=shape[0],
            num_classes=num_classes,
            plan=plan,
            map_size=side,
            width=width,
            batch_momentum=0.1,  # so that the moving statistics are not those of the beginning after some hundred steps
        )


def rows_of_step(step: int, *, batch_size: int, size: int, seed: int) -> Tensor:
    """Which of ``size`` images the batch of a step holds: one order of all of them after the other, int64 [batch_size]."""
    numbers = np.arange(step * batch_size, (step + 1) * batch_size)
    orders = {epoch: permutation(seed, epoch, size, name="student") for epoch in np.unique(numbers // size).tolist()}
    return torch.tensor([int(orders[number // size][number % size]) for number in numbers.tolist()])


def taught(
    images: Tensor, labels: Tensor, num_classes: int, *, seed: int, lesson: Lesson, device: str = "cpu"
) -> Encoder:
    """A student of uint8 ``images`` [N, C, H, W] with ``labels`` [N], in evaluation mode: by its seed, and by nothing else."""
    channels, height, width = images.shape[1:]
    student = new_student((channels, height, width), num_classes, width=lesson.width, seed=seed).to(device).train()
    optimizer = torch.optim.Adam(student.parameters(), lr=lesson.rate)
    for step in range(lesson.steps):
        for group in optimizer.param_groups:
            group["lr"] = lesson.rate * half_cosine(step / lesson.steps)
        rows = rows_of_step(step, batch_size=lesson.batch_size, size=len(images), seed=seed)
        optimizer.zero_grad()
        F.cross_entropy(student(from_uint8(images[rows]).to(device)), labels[rows].to(device)).backward()
        optimizer.step()
    return student.eval()


@torch.no_grad()
def named(student: Encoder, images: Tensor, *, device: str = "cpu") -> Tensor:
    """The classes that a student names uint8 ``images`` [N, C, H, W] with: int64 [N]."""
    return torch.cat([student(from_uint8(part).to(device)).argmax(dim=1).cpu() for part in images.split(AT_ONCE)])


def macro_f1(found: Tensor, labels: Tensor, num_classes: int) -> float:
    """The mean over classes of 2 TP / (2 TP + FP + FN); a class that is neither there nor named counts 0."""
    scores = []
    for label in range(num_classes):
        is_named, is_there = found == label, labels == label
        right, either = int((is_named & is_there).sum()), int(is_named.sum() + is_there.sum())
        scores.append(2.0 * right / either if either else 0.0)
    return sum(scores) / num_classes
