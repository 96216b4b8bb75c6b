"""Distances between sets of images, against torch-fidelity and torchmetrics on the same features in the same run.

python benchmarks/metrics.py [--quick]: a Markdown table and, as the last line, a JSON object. Peers run interleaved;
medians of the repetitions are compared, values are checked to agree. `ratio` is torch-fidelity's time over ours (in the
last row: all metrics over one), `floor_share` the time of the least matrix products over ours. The distance of few
samples is timed from the features, that of many from the statistics, which both programs keep of the real images.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_prc import calculate_precision_recall_full
from torchmetrics.image.fid import _compute_fid

import metrics.features as features_module
from benchmarks.harness import Table, growth_of_peak, interleaved, peak_megabytes, printed_by
from launch.allocator import keep_freed_memory
from metrics.evaluation import Instruments, Work, evaluate, real_summary
from metrics.features import Extractor, make_extractor
from metrics.functional import Gaussian, frechet_distance, manifolds
from metrics.image_sets import ImagesInMemory

COLUMNS = [
    "ratio",
    "cpu_ratio",
    "torchmetrics_ratio",
    "floor_share",
    "memory_ratio",
    "ours_s",
    "peer_s",
    "ours_mb",
    "peer_mb",
    "relative_difference",
]
MANY = ["fd", "kid", "precision", "recall", "coverage"]


def features(count: int, dim: int, *, seed: int) -> torch.Tensor:
    """Like those of a network: a few directions carry most of it, none is below 0. float32 [count, dim]."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(16, dim, generator=torch.Generator().manual_seed(99)) / 4
    scale = 1.0 + 0.1 * seed
    directions = scale * torch.randn(count, 16, generator=generator) @ mixing
    return (directions + 0.1 * torch.randn(count, dim, generator=generator) + 0.05 * seed).relu()


def frechet_of_few(table: Table, *, count: int, dim: int, repetitions: int) -> None:
    a, b = features(count, dim, seed=0), features(count, dim, seed=1)

    def ours() -> float:
        return frechet_distance(Gaussian.of(a), Gaussian.of(b))

    def fidelity() -> float:
        statistics = [fid_features_to_statistics(part) for part in (a, b)]
        return float(fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"])

    def torchmetrics() -> float:
        statistics = [value for part in (a.double(), b.double()) for value in (part.mean(dim=0), part.T.cov())]
        return float(_compute_fid(*statistics))

    product = a.double()
    times = interleaved(
        {"ours": ours, "peer": fidelity, "torchmetrics": torchmetrics, "floor": lambda: product @ product.T},
        repetitions=repetitions,
    )
    table.add(f"frechet_from_{count}_features_of_{dim}", compared(times, ours(), fidelity()))


def frechet_of_many(table: Table, *, count: int, dim: int, repetitions: int) -> None:
    fits = [Gaussian.of(features(count, dim, seed=seed)) for seed in (0, 1)]
    as_theirs = [{"mu": fit.mean.numpy(), "sigma": fit.full_covariance().numpy()} for fit in fits]
    flat = [value for fit in fits for value in (fit.mean, fit.full_covariance())]
    one, other = flat[1], flat[3]

    def ours() -> float:
        return frechet_distance(*fits)

    def fidelity() -> float:
        return float(fid_statistics_to_metric(*as_theirs, False)["frechet_inception_distance"])

    times = interleaved(
        {"ours": ours, "peer": fidelity, "torchmetrics": lambda: _compute_fid(*flat), "floor": lambda: one @ other},
        repetitions=repetitions,
    )
    table.add(f"frechet_from_statistics_of_{dim}", compared(times, ours(), fidelity()))


def compared(times: dict, ours: float, theirs: float) -> dict[str, float]:
    row = {
        "ratio": times["peer"].median / times["ours"].median,
        "cpu_ratio": times["peer"].cpu_median / times["ours"].cpu_median,
        "floor_share": times["floor"].median / times["ours"].median,
        "ours_s": times["ours"].median,
        "peer_s": times["peer"].median,
        "relative_difference": abs(ours - theirs) / theirs,
    }
    if "torchmetrics" in times:
        row["torchmetrics_ratio"] = times["torchmetrics"].median / times["ours"].median
    return row


def two_sets(count: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    return features(count, dim, seed=0), features(count, dim, seed=1)


def precision_and_recall(table: Table, *, count: int, dim: int, repetitions: int) -> None:
    real, fake = two_sets(count, dim)
    times = interleaved(
        {
            "ours": lambda: manifolds(real, fake),
            "peer": lambda: calculate_precision_recall_full(fake, real),
            # Two symmetric matrices of distances, of which a half each is enough, and one between the sets.
            "floor": lambda: [left @ right.T for left in real.split(1000) for right in (real, fake)],
        },
        repetitions=repetitions,
    )
    found = manifolds(real, fake)
    theirs = calculate_precision_recall_full(fake, real)
    row = compared(times, found.precision, theirs[0])
    row["relative_difference"] = max(row["relative_difference"], abs(found.recall - theirs[1]) / theirs[1])
    row["ours_mb"], row["peer_mb"] = (peak_megabytes(__file__, f"{peer}:{count}:{dim}") for peer in ("ours", "peer"))
    row["memory_ratio"] = row["peer_mb"] / row["ours_mb"]
    table.add(f"precision_recall_{count}x{dim}", row)


def print_peak_memory(what: str) -> None:
    """In a process of its own: the growth of the peak over the features themselves."""
    peer, count, dim = what.split(":")
    real, fake = two_sets(int(count), int(dim))
    calculate_precision_recall_full(fake[:50], real[:50])  # libraries take their workspaces first
    manifolds(real[:50], fake[:50])
    run = {"ours": lambda: manifolds(real, fake), "peer": lambda: calculate_precision_recall_full(fake, real)}[peer]
    print(growth_of_peak(run))


def one_pass(table: Table, *, count: int, repetitions: int) -> None:
    """Five metrics in the features of EfficientNet-Lite0 over one; the floor is the extraction alone."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2 * count, 3, 64, 64), dtype=torch.uint8, generator=generator)
    fake, real = ImagesInMemory("fake", images[:count]), ImagesInMemory("real", images[count:])
    extractor = make_extractor("efficientnet_lite0", image_shape=fake.shape)
    kept = real_summary(real, extractor, metrics=MANY, work=Work())

    def extract() -> None:
        for part in fake.tensor.split(extractor.batch_size):
            extractor(part)

    times = interleaved(
        {
            "many": lambda: evaluate(fake, kept, Instruments(extractor=extractor, metrics=MANY)),
            "one": lambda: evaluate(fake, kept, Instruments(extractor=extractor, metrics=["fd"])),
            "floor": extract,
        },
        repetitions=repetitions,
    )
    table.add(
        f"five_metrics_over_one_{count}",
        {
            "ratio": times["many"].median / times["one"].median,
            "cpu_ratio": times["many"].cpu_median / times["one"].cpu_median,
            "floor_share": times["floor"].median / times["many"].median,
            "ours_s": times["many"].median,
            "peer_s": times["one"].median,
        },
    )


def extraction(table: Table, *, count: int) -> None:
    """EfficientNet-Lite0 as evaluate.py runs it, and by 64 images at a time with the allocator as it is: one process each.

    The floor is its convolutions alone, on one batch that lies at its size and type, with freed memory kept.
    """
    peers = ("ours", "plain", "floor")
    ours, plain, floor = (json.loads(printed_by(__file__, "--extraction-of", f"{peer}:{count}")) for peer in peers)
    table.add(
        f"extraction_{count}_images_efficientnet_lite0",
        {
            "ratio": plain["wall"] / ours["wall"],
            "cpu_ratio": plain["cpu"] / ours["cpu"],
            "floor_share": floor["wall"] / ours["wall"],
            "memory_ratio": plain["mb"] / ours["mb"],
            "ours_s": ours["wall"],
            "peer_s": plain["wall"],
            "ours_mb": ours["mb"],
            "peer_mb": plain["mb"],
        },
    )


def print_extraction(what: str) -> None:
    """In a process of its own: seconds, of the clock and of all cores, and the growth of the peak."""
    peer, count = what.split(":")
    if peer == "plain":
        features_module.AT_ONCE = Extractor.batch_size
    else:
        keep_freed_memory()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (int(count), 3, 64, 64), dtype=torch.uint8, generator=generator)
    extractor = make_extractor("efficientnet_lite0", image_shape=(3, 64, 64))
    extractor(images[:1])
    convolutions = convolutions_of(extractor, images[: features_module.AT_ONCE])

    def run() -> None:
        if peer == "floor":
            for _ in images.split(features_module.AT_ONCE):
                convolutions()
        else:
            for part in images.split(extractor.batch_size):
                extractor(part)

    wall, cpu = time.perf_counter(), time.process_time()
    megabytes = growth_of_peak(run)
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mb": megabytes}))


def convolutions_of(extractor: Extractor, images: torch.Tensor) -> Callable[[], None]:
    """The convolutions that ``extractor`` applies to ``images``, each on the input that it was seen to get."""
    met: list[tuple[nn.Conv2d, torch.Tensor]] = []
    layers = [module for module in extractor.modules() if isinstance(module, nn.Conv2d)]
    hooks = [layer.register_forward_hook(lambda layer, inputs, _: met.append((layer, inputs[0]))) for layer in layers]
    extractor(images)
    for hook in hooks:
        hook.remove()

    @torch.no_grad()
    def run() -> None:
        for layer, x in met:
            layer(x)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under a minute")
    parser.add_argument("--peak-memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--extraction-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.extraction_of:
        return print_extraction(arguments.extraction_of)
    if arguments.peak_memory_of:
        return print_peak_memory(arguments.peak_memory_of)
    table = Table(COLUMNS)
    if arguments.quick:
        frechet_of_few(table, count=50, dim=256, repetitions=1)
        frechet_of_many(table, count=500, dim=256, repetitions=1)
        precision_and_recall(table, count=800, dim=512, repetitions=1)
        one_pass(table, count=8, repetitions=1)
        extraction(table, count=16)
    else:
        frechet_of_few(table, count=500, dim=2048, repetitions=7)
        frechet_of_many(table, count=5000, dim=2048, repetitions=7)
        precision_and_recall(table, count=10_000, dim=2048, repetitions=5)
        one_pass(table, count=300, repetitions=5)
        extraction(table, count=256)
    return table.print_json()


if __name__ == "__main__":
    main()
