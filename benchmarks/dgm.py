"""Deep geometric moments against the released formulation, written plainly: the bases stage, inference, a training step.

python benchmarks/dgm.py [--quick] [--device cuda]: a Markdown table and, as the last line, a JSON object. The peer has the same
weights and passes the same golden file (tests/lightning_modules/dgm); `channels_last` is the peer on images in that memory
format, which ours uses on a processor. `ratio` is the peer's time over ours. The floor of the stage is one pass that adds and
clips tensors of its size, that of the network its convolutions alone, without normalisation, coordinates or sums; training has
three of each. `floor_share` is the floor's time over ours. Peers run interleaved; medians of the repetitions are compared.

On a GPU ours is the plain formulation but for operations in place, so there is no stage to compare and `ratio` is to be 1 or
more. `compiled_` rows are ours under torch.compile, `deterministic_` rows under `deterministic=true`, each beside the plain one
without.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Table, Times, deterministically, interleaved, relative_error
from lightning_modules.dgm.bases import canonical_grid, identity_map
from lightning_modules.dgm.layers import ConvNorm
from lightning_modules.dgm.networks import DGM, Level
from lightning_modules.dgm.pixels import convolved_and_normalized, transformed
from lightning_modules.dgm.plain import walk_plainly

COLUMNS = [
    "ratio",
    "cpu_ratio",
    "channels_last_ratio",
    "floor_share",
    "plain_floor_share",
    "ours_ms",
    "plain_ms",
    "floor_ms",
    "relative_error",
]
FINAL_CHANNELS = 10


class Case:
    """The released DGM ResNet-18 with random weights and ``batch`` images of ``size`` squared."""

    def __init__(self, *, channels: int, size: int, batch: int, device: str) -> None:
        torch.manual_seed(0)
        self.network = DGM(
            image_channels=3,
            num_classes=FINAL_CHANNELS,
            channels=channels,
            blocks=[2, 2, 2, 2],
            variant="released",
            dropout=0.0,
        ).to(device)
        self.images = torch.randn(batch, 3, size, size, device=device)
        self.labels = torch.arange(batch, device=device) % FINAL_CHANNELS
        self.device = device
        self.name = f"c{channels}_{size}px_batch{batch}"

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def timed(self, run: Callable[[], object]) -> Callable[[], object]:
        def waited() -> object:
            result = run()
            self.wait()
            return result

        return waited

    def ours(self) -> Tensor:
        return self.network(self.images)

    @functools.cached_property
    def compiled_network(self) -> Callable[[Tensor], Tensor]:
        compiled: Callable[[Tensor], Tensor] = torch.compile(self.network)
        return compiled

    def compiled(self) -> Tensor:
        return self.compiled_network(self.images)

    def plainly(self) -> Tensor:
        return self.network.classify(walk_plainly(self.network, self.images)[-1].moments)

    def plainly_channels_last(self) -> Tensor:
        images = self.images.contiguous(memory_format=torch.channels_last)
        return self.network.classify(walk_plainly(self.network, images)[-1].moments)

    def train(self, run: Callable[[], Tensor]) -> Callable[[], object]:
        def step() -> None:
            self.network.zero_grad()
            F.cross_entropy(run(), self.labels).backward()

        return step

    def convolutions(self, *, backward: bool) -> Callable[[], object]:
        """The network's convolutions over the images alone, in the faster memory format."""
        layers = [module for module in self.network.modules() if isinstance(module, nn.Conv2d)]
        canonical = {self.network.bases.coordinates} if self.network.bases is not None else set()
        folded = {level.bases.mix.convolution for level in self.network.levels if isinstance(level, Level)}
        if self.network.bases is not None:
            canonical |= {layer.convolution for layer in self.network.bases.layers if isinstance(layer, ConvNorm)}
        layers = [layer for layer in layers if layer not in canonical | folded]
        size, batch = self.images.shape[-1], len(self.images)
        inputs = {
            channels: torch.randn(batch, channels, size, size, device=self.device)
            .contiguous(memory_format=torch.channels_last)
            .requires_grad_(backward)
            for channels in {layer.in_channels for layer in layers}
        }
        gradients = {
            layer.out_channels: torch.randn(batch, layer.out_channels, size, size, device=self.device).contiguous(
                memory_format=torch.channels_last
            )
            for layer in layers
        }

        def run() -> None:
            for layer in layers:
                x = inputs[layer.in_channels]
                y = F.conv2d(x, layer.weight, padding=layer.padding)
                if backward:
                    torch.autograd.grad(y, [x, layer.weight], gradients[layer.out_channels])

        return run


def row_of(times: dict[str, Times], floor: str = "floor") -> dict[str, float]:
    our, plain, last = times["ours"], times["plain"], times["plain_channels_last"]
    return {
        "ratio": plain.median / our.median,
        "cpu_ratio": plain.cpu_median / our.cpu_median,
        "channels_last_ratio": last.median / our.median,
        "floor_share": times[floor].median / our.median,
        "plain_floor_share": times[floor].median / plain.median,
        "ours_ms": 1000 * our.median,
        "plain_ms": 1000 * plain.median,
        "floor_ms": 1000 * times[floor].median,
    }


@torch.no_grad()
def stage(table: Table, case: Case, *, repetitions: int) -> None:
    """Moments to grid to planes to relu(norm(conv1g(planes)) + bases): what one level's coordinates cost before conv2g."""
    level = case.network.levels[0]
    assert isinstance(level, Level)
    assert level.affine is not None
    affine, bases = level.affine, level.bases
    batch, channels, size = len(case.images), case.network.num_features, case.images.shape[-1]
    moments = torch.randn(batch, channels, device=case.device)
    before = torch.rand(batch, channels, size, size, device=case.device)
    before_last = before.contiguous(memory_format=torch.channels_last)
    canonical = canonical_grid(size, size, like=moments)[:2]
    grid = canonical.expand(batch, -1, -1)

    def ours() -> Tensor:
        planes, _ = affine(moments, identity_map(moments))
        return F.relu_(bases.mixed(planes, before_last))

    def plainly(added: Tensor = before) -> Tensor:
        planes = transformed(affine, moments, canonical, grid)[0].unflatten(2, (size, size))
        return F.relu(convolved_and_normalized(bases.mix, planes) + added)

    peers = {
        "ours": ours,
        "plain": plainly,
        "plain_channels_last": lambda: plainly(before_last),
        "floor": lambda: F.relu_(before + before),
    }
    times = interleaved({name: case.timed(run) for name, run in peers.items()}, repetitions=repetitions)
    table.add(f"stage_{case.name}", row_of(times) | {"relative_error": relative_error(ours(), plainly())})


def inference(table: Table, case: Case, *, repetitions: int) -> None:
    kinds = {"inference": case.ours} | ({"compiled_inference": case.compiled} if case.device == "cuda" else {})
    peers = {
        "plain": case.plainly,
        "plain_channels_last": case.plainly_channels_last,
        "floor": case.convolutions(backward=False),
    }
    with torch.no_grad():
        times = measured(case, kinds | peers, repetitions)
        for kind, run in kinds.items():
            error = {"relative_error": relative_error(run(), case.plainly())}
            table.add(f"{kind}_{case.name}", row_of(times | {"ours": times[kind]}) | error)


def training(table: Table, case: Case, *, repetitions: int) -> None:
    on_gpu = {"compiled_train": case.compiled, "deterministic_train": case.ours} if case.device == "cuda" else {}
    kinds = {"train": case.ours} | on_gpu
    peers = {"plain": case.train(case.plainly), "plain_channels_last": case.train(case.plainly_channels_last)}
    steps = {
        kind: deterministically(case.train(run)) if kind.startswith("deterministic") else case.train(run)
        for kind, run in kinds.items()
    }
    times = measured(case, steps | peers | {"floor": case.convolutions(backward=True)}, repetitions)
    for kind, run in kinds.items():
        error = {"relative_error": relative_error(run(), case.plainly())}
        table.add(f"{kind}_{case.name}", row_of(times | {"ours": times[kind]}) | error)


def measured(case: Case, peers: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, Times]:
    return interleaved({name: case.timed(run) for name, run in peers.items()}, repetitions=repetitions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under a minute")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    table = Table(COLUMNS)
    sizes = {"channels": 64, "size": 16, "batch": 4} if arguments.quick else {"channels": 256, "size": 32, "batch": 8}
    case = Case(**sizes, device=arguments.device)
    case.network.eval()
    if arguments.device == "cpu":
        stage(table, case, repetitions=5 if arguments.quick else 15)
    repetitions = 20 if arguments.device == "cuda" else 5
    inference(table, case, repetitions=repetitions)
    case.network.train()
    training(table, case, repetitions=repetitions)
    return table.print_json()


if __name__ == "__main__":
    main()
