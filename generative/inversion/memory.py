"""How many images are searched for at once: as many as the memory of a step allows, found without taking it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode  # how torch.compile sees shapes; it computes nothing

from generative.inversion.search import ImageLoss, Point, Space

SHARE = 0.5  # of the free memory that a search may take
STEP = 2.0  # memory of a step over what its graph keeps: gradients, and what a layer needs while it works
LIMITS = (  # of a group of processes, and what it has taken: of both versions of Linux control groups
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def kept_bytes(space: Space, point: Point, loss: ImageLoss) -> int:
    """What the graph of ``loss`` of the images of ``point`` keeps for its gradient, in bytes, with weights counted once.

    Nothing is computed and no such memory is taken.
    """
    kept: dict[int, Tensor] = {}

    def count(saved: Tensor) -> Tensor:
        kept[id(saved.untyped_storage())] = saved
        return saved

    with (
        torch.enable_grad(),
        FakeTensorMode(allow_non_fake_inputs=True) as mode,
        torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved),
    ):
        loss(space.draw({name: mode.from_tensor(part).requires_grad_() for name, part in point.items()}))
    return sum(saved.untyped_storage().nbytes() for saved in kept.values())


def free_bytes(device: torch.device) -> int:
    """Of the memory of a device; of the main memory what this process may still take, its group's limit minded."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    for limit, taken in LIMITS:
        if Path(limit).exists() and Path(taken).exists() and (most := Path(limit).read_text().strip()) != "max":
            free = min(free, int(most) - int(Path(taken).read_text()))
    return max(0, free)


def images_at_once(kept: int, *, most: int, free: int) -> int:
    """Images of a batch, at most ``most``, each of which keeps ``kept`` bytes; ValueError where ``free`` is too few for one."""
    fitting = int(SHARE * free / (STEP * max(1, kept)))
    if fitting < 1:
        raise ValueError(
            f"a step of the search takes about {STEP * kept / 1e9:.2g} GB for one image, and {free / 1e9:.2g} GB are free: "
            "ask for fewer codes or a later layer, or free some memory"
        )
    return min(most, fitting)
