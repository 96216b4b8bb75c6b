"""How many images are searched for at once: as many as the memory of a step allows, found without taking it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode  # how torch.compile sees shapes; it computes nothing

from generative.inversion.search import ImageLoss, Point, Space

SHARE = 0.5  # of the free memory that a search may take
STEP = 2.0  # memory of a step over what its graph keeps: gradients, and what a layer needs while it works
MOST_DRAWN = 64  # latents of a point of one image that can be drawn without a thought of memory
GROUPS = Path("/sys/fs/cgroup")  # of processes, as Linux bounds the memory of jobs and containers
OWN_GROUPS = Path("/proc/self/cgroup")
FILES = {"": ("memory.max", "memory.current"), "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}


def kept_bytes(space: Space, point: Point, loss: ImageLoss) -> int:
    """What the graph of ``loss`` of the images of ``point`` keeps for its gradient, in bytes, with weights counted once.

    A point of many latents is not drawn for that: its shapes alone are followed, which takes a second and no such memory.
    """
    kept: dict[int, Tensor] = {}

    def count(saved: Tensor) -> Tensor:
        kept[id(saved.untyped_storage())] = saved
        return saved

    shapes = FakeTensorMode(allow_non_fake_inputs=True) if space.num_latents > MOST_DRAWN else None
    with (
        torch.enable_grad(),
        shapes or nullcontext(),
        torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved),
    ):
        own = {name: part.detach() if shapes is None else shapes.from_tensor(part) for name, part in point.items()}
        loss(space.draw({name: part.requires_grad_() for name, part in own.items()}))
    return sum(saved.untyped_storage().nbytes() for saved in kept.values())


def free_bytes(device: torch.device) -> int:
    """Of the memory of a device, what PyTorch keeps for itself included; of the main memory what this process may still take."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return max(0, min([available, *free_of_groups()]))


def free_of_groups() -> Iterator[int]:
    """What each group that this process is in, and each that those are in, may still take: of both versions of control groups.

    Files that are kept in memory and not in use do not count as taken.
    """
    for line in OWN_GROUPS.read_text().splitlines() if OWN_GROUPS.exists() else ():
        _, controllers, path = line.split(":", 2)
        kind = "" if controllers == "" else "memory"
        if kind not in controllers.split(","):
            continue
        own = GROUPS / kind / path.strip("/")
        for folder in (own, *own.parents):
            limit, taken = (folder / name for name in FILES[kind])
            if limit.exists() and taken.exists() and (most := limit.read_text().strip()) != "max":
                yield int(most) - (int(taken.read_text()) - idle_files(folder / "memory.stat"))
            if folder == GROUPS / kind:
                break


def idle_files(statistics: Path) -> int:
    """Bytes of files in memory that nobody uses, of a group's ``statistics``."""
    lines = statistics.read_text().splitlines() if statistics.exists() else []
    return next(
        (int(line.split()[1]) for line in lines if line.split()[0] in ("inactive_file", "total_inactive_file")), 0
    )


def images_at_once(kept: int, *, most: int, free: int) -> int:
    """Images of a batch, at most ``most``, each of which keeps ``kept`` bytes; ValueError where ``free`` is too few for one."""
    fitting = int(SHARE * free / (STEP * max(1, kept)))
    if fitting < 1:
        raise ValueError(
            f"a step of the search takes about {STEP * kept / 1e9:.2g} GB for one image, and {free / 1e9:.2g} GB are free: "
            "ask for fewer codes or a later layer, or free some memory"
        )
    return min(most, fitting)
