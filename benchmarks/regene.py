"""A step of ReGene's decoder by eq. 6: forward, losses, backward, Adam; and what the dead taps of Table A.7 cost.

python benchmarks/regene.py [--quick] [--device cuda]: a Markdown table and, as the last line, a JSON object.
`decoder_*` rows are steps of a decoder, as `train.py` takes them on this device: on a GPU under bfloat16 autocast with maps in
channels-last order. The peer is the step as the published program takes it, in float32 (TF32 on a GPU) with SSIM by convolutions.
The floor are matrix products with as many operations, forward and backward, in the precision of ours. `kernels_*` compare the
encoder of Table A.7 with kernels `used` against `printed`, forward and backward; the floor are the products of `used`. Peers run
interleaved; medians are compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Table, interleaved
from lightning_modules.regene.networks import Decoder, Encoder
from lightning_modules.regene.objective import SSIM_WINDOW, Stage, decoder_loss, gaussian_band

COLUMNS = ["ratio", "floor_share", "ours_images_per_s", "peer_images_per_s", "floor_images_per_s", "gigamacs_an_image"]
STAGE = Stage(from_kimg=0, mae=1, ssim=1, perceptual=0, lr=1e-3)
PLANS = {  # Table A.5: as published, and as experiment=regene/fashion_mnist has it
    "published": ((128, 3, 3), [[512] * 3, [256] * 3, [256] * 3]),
    "small": ((32, 3, 3), [[64] * 3, [32] * 3, [32] * 3]),
}
PRODUCT_SIDE = 1024  # of the floor's matrices


def multiply_adds(network: nn.Module, sample: Tensor) -> float:
    """Of the convolutions and linear layers for ``sample``, [1, ...]."""
    counted = 0.0

    def count(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal counted
        weight = module.weight
        assert isinstance(weight, Tensor)
        counted += weight.numel() * (out[0, 0].numel() if out.ndim == 4 else 1)

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    network(sample)
    for hook in hooks:
        hook.remove()
    return counted


def products(operations: float, *, device: str, dtype: torch.dtype) -> Callable[[], object]:
    """Square matrix products of about ``operations`` multiply-adds, forward and both gradients: three times as many."""
    side = PRODUCT_SIDE if device == "cpu" else 8 * PRODUCT_SIDE
    times, rest = divmod(3 * operations, side**3)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    part = a[: max(1, round(rest / side**2))]

    def run() -> None:
        for _ in range(int(times)):
            a @ b
        part @ b

    return run


def published_ssim(x: Tensor, y: Tensor, window: int) -> Tensor:
    """SSIM by convolutions, as image libraries compute it: the mean over places whose window fits."""
    row = gaussian_band(window, window)[0]
    kernel = (row[:, None] * row).to(x)[None, None].expand(x.shape[1], 1, window, window)

    def mean(maps: Tensor) -> Tensor:
        return F.conv2d(maps, kernel, groups=maps.shape[1])

    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    return (((2 * mx * my + 1e-4) * (2 * vxy + 9e-4)) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))).mean()


def decoder_row(table: Table, size: str, *, batch: int, repetitions: int, device: str) -> None:
    shape, plan = PLANS[size]
    on_gpu = device == "cuda"
    steps: dict[str, Callable[[], object]] = {}
    torch.manual_seed(0)
    latents, images = torch.randn(batch, torch.Size(shape).numel()).to(device), torch.rand(batch, 1, 28, 28).to(device)
    operations = 0.0
    for who in ("ours", "peer"):
        torch.manual_seed(0)
        decoder = Decoder(latent_shape=shape, image_shape=(1, 28, 28), plan=plan, grow=2)
        operations = multiply_adds(decoder.eval(), torch.zeros(1, latents.shape[1]))
        decoder = decoder.train().to(device)
        if on_gpu and who == "ours":
            decoder = decoder.to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-3, eps=1e-7)

        def step(who: str = who, decoder: Decoder = decoder, optimizer: torch.optim.Adam = optimizer) -> None:
            halved: AbstractContextManager[object] = nullcontext()
            if on_gpu and who == "ours":
                halved = torch.autocast("cuda", dtype=torch.bfloat16)
            optimizer.zero_grad()
            with halved:
                drawn = decoder(latents)
                if who == "ours":
                    loss = decoder_loss(drawn, images, STAGE, window=SSIM_WINDOW)["total"]
                else:
                    loss = (drawn - images).abs().mean() + 1 - published_ssim(drawn, images, SSIM_WINDOW)
            loss.backward()
            optimizer.step()

        steps[who] = waited(step, device)
    steps["floor"] = waited(
        products(batch * operations, device=device, dtype=torch.bfloat16 if on_gpu else torch.float32), device
    )
    add_row(table, f"decoder_{size}_batch{batch}", steps, batch=batch, repetitions=repetitions, operations=operations)


def kernels_row(table: Table, *, width: int, batch: int, repetitions: int, device: str) -> None:
    """Forward and backward of Table A.7's encoder."""
    torch.manual_seed(0)
    images = torch.rand(batch, 3, 32, 32).to(device)
    steps: dict[str, Callable[[], object]] = {}
    operations = 0.0
    for who, kernel in (("ours", "used"), ("peer", "printed")):
        encoder = Encoder(
            image_channels=3, num_classes=10, plan=[[3, 3], [3], [3], [9, 11]], map_size=4, width=width, kernel=kernel
        )
        if who == "ours":
            operations = multiply_adds(encoder.eval(), torch.zeros(1, 3, 32, 32))
        encoder = encoder.train().to(device)

        def step(encoder: Encoder = encoder) -> None:
            encoder(images).square().mean().backward()

        steps[who] = waited(step, device)
    steps["floor"] = waited(products(batch * operations, device=device, dtype=torch.float32), device)
    add_row(table, f"kernels_width{width}", steps, batch=batch, repetitions=repetitions, operations=operations)


def add_row(
    table: Table, name: str, steps: dict[str, Callable[[], object]], *, batch: int, repetitions: int, operations: float
) -> None:
    rates = {who: batch / taken.median for who, taken in interleaved(steps, repetitions=repetitions).items()}
    table.add(
        name,
        {"ratio": rates["ours"] / rates["peer"], "floor_share": rates["ours"] / rates["floor"]}
        | {f"{who}_images_per_s": rate for who, rate in rates.items()}
        | {"gigamacs_an_image": operations / 1e9},
    )


def waited(run: Callable[[], object], device: str) -> Callable[[], object]:
    """``run``, and what it launched on a GPU has ended."""

    def to_the_end() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return to_the_end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few images, one repetition")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(COLUMNS)
    repetitions = 1 if given.quick else 5
    if given.device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        for batch in (128, 512):
            decoder_row(table, "published", batch=batch, repetitions=20, device="cuda")
        decoder_row(table, "small", batch=512, repetitions=20, device="cuda")
        kernels_row(table, width=128, batch=512, repetitions=20, device="cuda")
    else:
        decoder_row(table, "small", batch=8 if given.quick else 128, repetitions=repetitions, device="cpu")
        kernels_row(
            table,
            width=16 if given.quick else 64,
            batch=4 if given.quick else 32,
            repetitions=repetitions,
            device="cpu",
        )
    table.print_json()


if __name__ == "__main__":
    main()
