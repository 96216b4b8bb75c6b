"""Inversion with many codes: all images and codes in one batch, against the loop over both as it was published.

python benchmarks/inversion.py [--quick] [--device cuda]: a Markdown table and, as the last line, a JSON object. A row of
codes is a step of the search, one of ten: images by N codes composed at a layer, their squared error, gradients for codes and
importance, Adam. The peer has the same weights, takes an image at a time, one code after the other, and enlarges by nearest
neighbours before it convolves. `ratio` is its time over ours. The floor are the convolutions alone, in the order of ours,
forward and backward by their inputs. The rows of the enlarging convolution compare one transposed convolution with the two
steps that it stands for, forward and backward; their floor is that convolution with a kernel made before. Peers run
interleaved; medians are compared. On a GPU rows of 256 pixels say what a search of 3,000 steps takes, in bfloat16 (ours) and
in TF32 (the peer); their floor are the convolutions in bfloat16.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Table, growth_of_peak, interleaved, peak_megabytes
from generative.inversion.objective import ReconstructionLoss
from generative.inversion.search import search
from lightning_modules.pggan.layers import Convolution, EnlargingConvolution, enlarging_kernel, pixel_norm, rectified
from lightning_modules.pggan.networks import Generator
from lightning_modules.pggan.spaces import CodeSpace

COLUMNS = [
    "ratio",
    "floor_share",
    "ours_ms_an_image",
    "peer_ms_an_image",
    "floor_ms_an_image",
    "memory_mb",
    "difference",
]
STEPS_AS_PUBLISHED = 3000
STEPS = (
    10  # that are timed together: what a search does once, before its first step and after its last, is shared by them
)


def small_generator() -> Generator:
    """That of pggan/fashion_mnist, with random weights."""
    torch.manual_seed(0)
    return Generator(image_shape=(1, 32, 32), latent_dim=64, base=512, most=64).requires_grad_(False)


def plain_block(block: Convolution, x: Tensor) -> Tensor:
    """A block as published: the norm, doubling by nearest neighbours, the convolution, the rectifier."""
    x = pixel_norm(x)
    if isinstance(block, EnlargingConvolution):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    return rectified(F.conv2d(x, block.weight * block.scale, block.bias, padding=block.padding))


def plain_image(generator: Generator, codes: Tensor, importance: Tensor, layer: int) -> Tensor:
    """One image of N codes [N, D] and their importance [N, C], code by code: [1, C, H, W]."""
    total: Tensor | None = None
    for z, alpha in zip(codes, importance, strict=True):
        h = z[None, :, None, None]
        for block in generator.blocks[:layer]:
            h = plain_block(block, h)  # type: ignore[arg-type]
        weighed = h * alpha[None, :, None, None]
        total = weighed if total is None else total + weighed
    assert total is not None
    for block in generator.blocks[layer:]:
        total = plain_block(block, total)  # type: ignore[arg-type]
    image: Tensor = generator.to_image[-1](pixel_norm(total))
    return image


class Case:
    """``count`` images of N codes composed at ``layer``, random targets."""

    def __init__(self, generator: Generator, *, count: int, num_codes: int, layer: int, device: str) -> None:
        self.generator, self.layer = generator.to(device), layer
        random = torch.Generator().manual_seed(1)
        shape = (count, num_codes, generator.latent_dim)
        self.samples = torch.randn(32, generator.latent_dim, generator=random).to(device)
        self.latents = torch.randn(shape, generator=random).to(device)
        size = 2 ** (generator.levels + 1)
        last = generator.to_image[-1]
        assert isinstance(last, Convolution)
        self.targets = torch.rand((count, len(last.weight), size, size), generator=random).to(device) * 2 - 1
        self.space = CodeSpace(self.generator, samples=self.samples, num_codes=num_codes, layer=layer)
        self.loss = ReconstructionLoss("l2").to(self.targets)
        self.device = device

    def ours(self, steps: int = STEPS) -> Tensor:
        """Steps of the search for all images; what they draw after them."""
        return search(self.space, self.loss, self.space.at(self.latents), steps=steps).images

    def peer(self, steps: int = STEPS) -> Tensor:
        images, units = [], self.space.units()
        point = self.space.at(self.latents)
        for k in range(len(self.latents)):
            offsets = [torch.zeros_like(point[name][k], requires_grad=True) for name in ("z", "alpha")]
            optimizer = torch.optim.Adam(offsets, lr=self.space.rate)

            def draw(k: int = k, offsets: list[Tensor] = offsets) -> Tensor:
                z = point["z"][k] + units["z"] * offsets[0]
                return plain_image(self.generator, z, point["alpha"][k] + units["alpha"] * offsets[1], self.layer)

            for _ in range(steps):
                optimizer.zero_grad()
                (draw() - self.targets[k]).square().mean().backward()
                optimizer.step()
            with torch.no_grad():
                images.append(draw())
        return torch.cat(images)

    def convolutions(self, *, of_last_images: bool) -> Callable[[], object]:
        """The convolutions of a step of ours on inputs of its shape, with the gradients by them, as often as there are steps; and
        those of the last images. Without these, of one step.
        """
        count, num_codes = self.latents.shape[:2]
        met: list[tuple[Callable[[Tensor], Tensor], Tensor]] = []
        side = 1
        for number, block in enumerate(self.generator.blocks):
            assert isinstance(block, Convolution)
            rows = count * num_codes if number < self.layer else count
            x = torch.randn(rows, block.weight.shape[1], side, side, device=self.device, requires_grad=True)
            met.append((with_kernel(block), x))
            side = 4 if number == 0 else side * (2 if isinstance(block, EnlargingConvolution) else 1)

        def run() -> None:
            for _ in range(STEPS if of_last_images else 1):
                for convolve, x in met:
                    y = convolve(x)
                    torch.autograd.grad(y, x, torch.ones_like(y))
            if of_last_images:
                with torch.no_grad():
                    for convolve, x in met:
                        convolve(x)

        return run


def with_kernel(block: Convolution) -> Callable[[Tensor], Tensor]:
    """The convolution of a block alone, its kernel made before."""
    weight = (block.weight * block.scale).detach()
    if isinstance(block, EnlargingConvolution):
        kernel = enlarging_kernel(weight)
        return lambda x: F.conv_transpose2d(x, kernel, stride=2, padding=1)
    return lambda x: F.conv2d(x, weight, padding=block.padding)


def waited(run: Callable[[], object], device: str) -> Callable[[], object]:
    """``run``, and what it launched on a GPU has ended."""

    def to_the_end() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return to_the_end


def codes_row(table: Table, case: Case, name: str, *, repetitions: int, memory: float | None) -> None:
    difference = float((case.ours(1) - case.peer(1)).abs().max())
    assert difference < 1e-2, (
        "the peer draws other images"
    )  # a step of Adam turns rounding into a step of its own length
    peers = {"ours": case.ours, "peer": case.peer, "floor": case.convolutions(of_last_images=True)}
    waiting = {who: waited(run, case.device) for who, run in peers.items()}
    times = interleaved(waiting, repetitions=repetitions)
    each = {who: 1000 * taken.median / len(case.latents) / STEPS for who, taken in times.items()}
    row = {"ratio": each["peer"] / each["ours"], "floor_share": each["floor"] / each["ours"], "difference": difference}
    row |= {f"{who}_ms_an_image": value for who, value in each.items()}
    table.add(name, row if memory is None else row | {"memory_mb": memory})


def enlarging_row(table: Table, *, channels: int, side: int, count: int, repetitions: int, device: str) -> None:
    torch.manual_seed(0)
    block = EnlargingConvolution(channels, channels).requires_grad_(False).to(device)
    x = torch.randn(count, channels, side, side, device=device, requires_grad=True)
    alone = with_kernel(block)

    def both_ways(convolve: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        def run() -> None:
            y = convolve(x)
            torch.autograd.grad(y, x, torch.ones_like(y))

        return waited(run, device)

    def in_two(values: Tensor) -> Tensor:
        larger = F.interpolate(values, scale_factor=2, mode="nearest")
        return F.conv2d(larger, block.weight * block.scale, block.bias, padding=1)

    difference = float((block(x) - in_two(x)).detach().abs().max())
    peers = {"ours": both_ways(block), "peer": both_ways(in_two), "floor": both_ways(alone)}
    times = interleaved(peers, repetitions=repetitions)
    each = {who: 1000 * taken.median / count for who, taken in times.items()}
    table.add(
        f"enlarging_{channels}_channels_{side}px",
        {"ratio": each["peer"] / each["ours"], "floor_share": each["floor"] / each["ours"], "difference": difference}
        | {f"{who}_ms_an_image": value for who, value in each.items()},
    )


def gpu_rows(table: Table, *, steps: int) -> None:
    """What a search of 3,000 steps takes an image at 256 pixels, with random weights of the published size."""
    torch.manual_seed(0)
    generator = Generator(image_shape=(3, 256, 256)).requires_grad_(False)
    for layer in (4, 8):
        for count in (1, 64):
            case = Case(generator, count=count, num_codes=20, layer=layer, device="cuda")
            seconds = {}
            for name, dtype in (("bf16", torch.bfloat16), ("tf32", None)):
                torch.set_float32_matmul_precision("high")
                torch.backends.cudnn.allow_tf32 = True
                with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
                    search(case.space, case.loss, case.space.at(case.latents), steps=2)
                    torch.cuda.reset_peak_memory_stats()
                    found = search(case.space, case.loss, case.space.at(case.latents), steps=steps)
                seconds[name] = found.seconds / steps * STEPS_AS_PUBLISHED / count
            megabytes = torch.cuda.max_memory_allocated() / 1e6
            with torch.autocast("cuda", dtype=torch.bfloat16):
                alone = {"floor": waited(case.convolutions(of_last_images=False), "cuda")}
                floor = interleaved(alone, repetitions=5)["floor"].median * STEPS_AS_PUBLISHED / count
            table.add(
                f"256px_layer{layer}_batch{count}",
                {
                    "ratio": seconds["tf32"] / seconds["bf16"],
                    "floor_share": floor / seconds["bf16"],
                    "floor_ms_an_image": 1000 * floor,
                    "ours_ms_an_image": 1000 * seconds["bf16"],
                    "peer_ms_an_image": 1000 * seconds["tf32"],
                    "memory_mb": megabytes,
                },
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images, one repetition")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--peak-memory-of", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak_memory_of:
        count, num_codes, layer = map(int, given.peak_memory_of.split(":"))
        case = Case(small_generator(), count=count, num_codes=num_codes, layer=layer, device="cpu")
        print(growth_of_peak(case.ours))
        return
    table = Table(COLUMNS)
    count, repetitions = (2, 1) if given.quick else (20, 5)
    for num_codes, layer in ((2, 4),) if given.quick else ((10, 4), (20, 4), (10, 6)):
        case = Case(small_generator(), count=count, num_codes=num_codes, layer=layer, device=given.device)
        memory = (
            None if given.quick or given.device == "cuda" else peak_megabytes(__file__, f"{count}:{num_codes}:{layer}")
        )
        codes_row(table, case, f"codes_{num_codes}_layer_{layer}", repetitions=repetitions, memory=memory)
    for channels, side in ((8, 4),) if given.quick else ((64, 16), (128, 32)):
        enlarging_row(table, channels=channels, side=side, count=count, repetitions=repetitions, device=given.device)
    if given.device == "cuda":
        gpu_rows(table, steps=20)
    table.print_json()


if __name__ == "__main__":
    main()
