"""Claims about deep geometric moments: dissertation, chapter 5."""

from __future__ import annotations

from docs.ledger import Claim, common, difference, read_results, stated, untested
from lightning_modules.dgm.counts import PRINTED, agrees, count_row

GATE = 0.60  # accuracy of four levels, on every seed, from which on an order is stated
LEAST_SEEDS = 3
NEEDS_GPUS = "not testable here: needs GPUs for days"
NEEDS_IMAGENET = "not testable here: needs ImageNet and GPUs for days"
FOUR = "dgm/cifar10_level4"
ARMS = {
    "dgm/cifar10_level1": ("Level-1", "84.79"),
    "dgm/cifar10_level2": ("Level-2", "88.77"),
    FOUR: ("Level-4", "90.28"),
    "dgm/cifar10_level4_no_affine": ("Level-4 without affine parameters", "88.47"),
    "dgm/cifar10_no_moments": ("the same blocks without moments", "-"),
}
# Claim, the arm that is to be better, the other
ORDERS = (
    ("Two levels are better than one: bases of a grid that moments moved", "dgm/cifar10_level2", "dgm/cifar10_level1"),
    ("Four levels are better than two", FOUR, "dgm/cifar10_level2"),
    (
        "Moving the grid helps: four levels with affine parameters against four without",
        FOUR,
        "dgm/cifar10_level4_no_affine",
    ),
    ("Moments capture what is far apart: four levels against the same blocks without", FOUR, "dgm/cifar10_no_moments"),
)


def parameter_claims() -> list[Claim]:
    counts = [(name, count_row(settings), printed) for name, settings, printed in PRINTED]
    same = [name for name, count, printed in counts if agrees(count, printed)]
    others = "; ".join(
        f"{name} {count:,} ({printed:.2f} M printed)" for name, count, printed in counts if not agrees(count, printed)
    )
    verdict = (
        f"{len(same)} of {len(counts)} rows reproduced to the printed digit, by a network inferred from the counts"
    )
    return [
        Claim(
            "Tables 5.1 to 5.5", "Parameters of the networks with and without moments", f"otherwise: {others}",
            "-", "any (counted, not trained)", "-", "`pytest tests/lightning_modules/dgm -k count`", verdict,
        )
    ]  # fmt: skip


def accuracies(experiment: str) -> list[float]:
    return [result["metrics"]["accuracy"] for result in read_results(experiment)]


def level_claims() -> list[Claim]:
    rows = []
    for experiment, (name, printed) in ARMS.items():
        results = read_results(experiment)
        if results:
            says = (
                f"{name}: {printed} % (256 channels, 32 x 32, 150 epochs)"
                if printed != "-"
                else f"{name} (no figure printed)"
            )
            verdict = "an arm of the comparisons below"
            rows.append(
                Claim(
                    "Table 5.1",
                    says,
                    f"accuracy {stated(results, 'accuracy')}",
                    **common(results, experiment),
                    verdict=verdict,
                )
            )
    for says, better, worse in ORDERS:
        larger, smaller = accuracies(better), accuracies(worse)
        command = f"`python train.py experiment={better}` and `{worse}`"
        if min(len(larger), len(smaller)) < LEAST_SEEDS:
            rows.append(untested("Table 5.1", says, f"open: fewer than {LEAST_SEEDS} seeds were trained"))
            continue
        mean, low, high = difference(larger, smaller)
        facts = common(read_results(better), better) | {"command": command}
        ours = f"accuracy {mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f} (Welch)"
        if min(accuracies(FOUR)) < GATE:
            verdict = f"not stated: four levels stay below the gate of {GATE:.0%}"
        elif low > 0:
            verdict = "reproduced at this scale"
        else:
            verdict = (
                "not reproduced at this scale: the other way round"
                if high < 0
                else "not reproduced at this scale: no order"
            )
        rows.append(Claim("Table 5.1", says, ours, **facts, verdict=verdict))
    return rows


def claims() -> list[Claim]:
    return [
        *parameter_claims(),
        *level_claims(),
        untested("Table 5.2", "CIFAR-10, 100: 95.51, 80.60 % (DGM ResNet-18) against 94.78, 76.93 % (w/o pooling)", NEEDS_GPUS),
        untested("Table 5.3", "ImageNet: 72.36 % (DGM ResNet-18) against 68.42 % (w/o pooling)", NEEDS_IMAGENET),
        untested("Table 5.4", "CIFAR-100: 80.60 % (DGM ResNet-18) against 77.35 % (ResNet-18)", NEEDS_GPUS),
        untested("Table 5.5", "ImageNet: 72.36, 75.63, 77.06, 72.69 % (DGM ResNet-18, 34, 50, MobileNet)", NEEDS_IMAGENET),
        untested("Table 5.6", "Fine-tuned in the bases alone: CIFAR-10, 100 93.79, 75.83 % (DGM ResNet-18)", NEEDS_IMAGENET),
        untested("Table 5.7", "ImageNet-C: mCE 71.74 (DGM ResNet-50) against 74.97 (ResNet-50)", NEEDS_IMAGENET),
        untested("Table 5.8", "VOC 2012, Cityscapes: mIoU 78.43, 74.77 (DGM ResNet-50, two 1 x 1 convolutions)", NEEDS_IMAGENET),
    ]  # fmt: skip
