"""Networks of Fourier layers, forward and backward: by half angles against cosines and sines, and many networks at once.

python benchmarks/dfm.py [--quick]: a Markdown table and, as the last line, a JSON object. One thread; CPU milliseconds, so that
other work on the machine counts little. `photo_*` rows are a network of width 8 and depth 6 at 4,096 pixels; their peer is the
layer as it is written, with autograd, operation by operation. `networks_*` rows are 64 networks of width 4 and depth 6 at 64
pixels each, in one program; the peer is a loop over them by the same program for one network. The floor are the matrix
products of the half-angle form alone, of the values and both gradients. Peers run interleaved; medians are compared. Where
torch.compile finds no compiler there are no rows of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Table, interleaved
from lightning_modules.dfm.compilation import compiled_where_possible, what_is_missing
from lightning_modules.dfm.half_angle import half_angle_layer
from lightning_modules.dfm.layer import fourier_layer
from lightning_modules.dfm.networks import Layer, Shape, colours
from lightning_modules.dfm.start import first_scales, random_coefficients

COLUMNS = ["ratio", "floor_share", "ms", "peer_ms", "floor_ms"]
PHOTO = Shape(width=8, depth=6, channels=3)
DIGIT = Shape(width=4, depth=6, channels=1)
QUICK = 2  # width and depth under --quick

Error = Callable[..., Tensor]


def squared_error(shape: Shape, layer: Layer) -> Error:
    def error(points: Tensor, targets: Tensor, *coefficients: Tensor) -> Tensor:
        return (colours(points, coefficients, shape, layer) - targets).square().mean()

    return error


def compiled(error: Error) -> Error:
    return compiled_where_possible(error)[0]


def step(error: Error, points: Tensor, targets: Tensor, coefficients: Sequence[Tensor]) -> Callable[[], object]:
    return lambda: torch.autograd.grad(error(points, targets, *coefficients), coefficients)


def products(shape: Shape, points: int, networks: int) -> Callable[[], object]:
    """The matrix products of one step: values, and the gradients of coefficients and of features."""
    tasks = []
    for inputs, outputs in shape.sizes:
        features, sides = torch.randn(networks, 2**inputs, points), torch.randn(networks, 2 * outputs, 2**inputs)
        tasks.append((sides, features, torch.randn(networks, 2 * outputs, points)))

    def run() -> None:
        for sides, features, gradients in tasks:
            sides @ features
            gradients @ features.mT
            sides.mT @ gradients

    return run


def drawn(shape: Shape, points: int, networks: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Points, targets and coefficients of so many networks."""
    generator = torch.Generator().manual_seed(0)
    coefficients = random_coefficients(shape, first_scales(shape), generator=generator, networks=(networks,))
    targets = torch.rand(networks, points, shape.channels, generator=generator)
    return torch.rand(points, 2, generator=generator), targets, [part.requires_grad_() for part in coefficients]


def add_rows(
    table: Table, programs: dict[str, Callable[[], object]], peers: dict[str, str], *, repetitions: int
) -> None:
    """A row for each of ``peers``, which names the program that it is compared with; the program `floor` is the floor."""
    taken = {name: 1000.0 * times.cpu_median for name, times in interleaved(programs, repetitions=repetitions).items()}
    floor = taken["floor"]
    for name, peer in peers.items():
        row = {"ms": taken[name], "peer_ms": taken[peer], "floor_ms": floor}
        table.add(name, {"ratio": taken[peer] / taken[name], "floor_share": floor / taken[name]} | row)


def photo_rows(table: Table, shape: Shape, *, points: int, repetitions: int, compiling: bool) -> None:
    given = drawn(shape, points, 1)
    naive, half = squared_error(shape, fourier_layer), squared_error(shape, half_angle_layer)
    errors = {"naive": naive, "photo_half_angles": half}
    if compiling:
        errors |= {"photo_naive_compiled": compiled(naive), "photo_half_angles_compiled": compiled(half)}
    programs = {name: step(error, *given) for name, error in errors.items()} | {"floor": products(shape, points, 1)}
    add_rows(table, programs, {name: "naive" for name in errors if name != "naive"}, repetitions=repetitions)


def network_rows(table: Table, shape: Shape, *, points: int, networks: int, repetitions: int, compiling: bool) -> None:
    where, targets, coefficients = drawn(shape, points, networks)
    alone = [
        (where, targets[place], [part[place].detach().requires_grad_() for part in coefficients])
        for place in range(networks)
    ]
    half = squared_error(shape, half_angle_layer)
    errors = {"networks_half_angles": half}
    if compiling:
        errors["networks_half_angles_compiled"] = compiled(half)
    programs: dict[str, Callable[[], object]] = {"floor": products(shape, points, networks)}
    for name, error in errors.items():
        programs[name] = step(error, where, targets, coefficients)
        steps = [step(error, *given) for given in alone]
        programs[f"loop of {name}"] = lambda steps=steps: [run() for run in steps]  # type: ignore[misc]
    add_rows(table, programs, {name: f"loop of {name}" for name in errors}, repetitions=repetitions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small networks, one repetition, nothing compiled")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    table = Table(COLUMNS)
    photo, digit = (replace(shape, width=QUICK, depth=QUICK) if quick else shape for shape in (PHOTO, DIGIT))
    repetitions, compiling = 1 if quick else 7, not quick and not what_is_missing()
    photo_rows(table, photo, points=64 if quick else 4096, repetitions=repetitions, compiling=compiling)
    many, points = (4, 16) if quick else (64, 64)
    network_rows(table, digit, points=points, networks=many, repetitions=repetitions, compiling=compiling)
    table.print_json()


if __name__ == "__main__":
    main()
