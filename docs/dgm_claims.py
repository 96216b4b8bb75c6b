"""Claims about deep geometric moments: dissertation, chapter 5."""

from __future__ import annotations

from typing import Any

from docs.ledger import FEW_SEEDS, Claim, Order, common, compared, read_results, stated, untested
from lightning_modules.dgm.counts import PRINTED, agrees, count_row

GATE = 0.60  # accuracy of four levels, on every seed, from which on an order is stated
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
    gated = any(accuracy < GATE for accuracy in accuracies(FOUR))
    verdict = f"not stated: four levels stay below the gate of {GATE:.0%}" if gated else ""
    for says, better, worse in ORDERS:
        order = Order("accuracy", accuracies(better), accuracies(worse))
        arms = {experiment: read_results(experiment) for experiment in (better, worse)}
        rows.append(compared("Table 5.1", says, arms, order, verdict=verdict))
    return rows


def mask_claims() -> list[Claim]:
    """Table 5.8's question on digits with masks: moments under 1 x 1 convolutions as a head, and the blocks without."""
    arms = ("dgm/digit_masks", "dgm/digit_masks_no_moments")
    results = {arm: read_results(arm) for arm in arms}
    if not all(results.values()):
        return []
    values = {arm: [result["metrics"]["mean_iou"] for result in results[arm]] for arm in arms}
    each = " against ".join(", ".join(f"{value:.3f}" for value in values[arm]) for arm in arms)
    says = "Moments see far enough for 1 x 1 convolutions as a head, the same blocks without do not (digits with masks)"
    order = Order("mIoU", values[arms[0]], values[arms[1]])
    return [compared("Section 5.4.7", says, results, order, ours=f"each seed: {each}")]


def covering_claims() -> list[Claim]:
    """Section 5.4.4 measured: how much of a last map's mass lies on the ink of digits; what `task=maps_scored` wrote."""
    rows = read_results("dgm/digits_maps_scored")
    if not rows:
        return []
    shares = {
        kind: [row["energy_inside"] for row in rows if row["map"] == kind] for kind in ("moments", "features x means")
    }
    middle = next(row["energy_inside"] for row in rows if row["model"] == "middle")
    order = Order("share", shares["moments"], shares["features x means"])
    each = " against ".join(", ".join(f"{value:.3f}" for value in values) for values in shares.values())
    says = (
        "Maps of moments lie on the object (no figure); here on the ink of digits, against the blocks without moments"
    )
    found = f"{each}; a Gaussian about the middle {middle:.3f}"
    experiment = "dgm/digits"
    task = "task=maps_scored masked=digit_masks baselines=[<without moments>]"
    facts = common(read_results(experiment), experiment)
    facts["command"] = f"`python train.py experiment={experiment}`, `python generate.py {task}`"
    if order.is_open:
        return [untested("Section 5.4.4", says, FEW_SEEDS)]
    return [Claim("Section 5.4.4", says, found, **facts, verdict="", order=order)]


def critic_values(file: str, key: str, **only: Any) -> dict[str, list[float]]:
    """Experiment -> ``key`` of each of its lines in docs/results/dgm/<file>.jsonl that has what ``only`` says."""
    found: dict[str, list[float]] = {}
    for line in read_results(f"dgm/{file}"):
        if line.items() >= only.items():
            found.setdefault(line["experiment"], []).append(line[key])
    return found


def critic_claims() -> list[Claim]:
    """Moments as a GAN's critic: ours, not the chapter's."""
    ours, conv = "poly_inr/digits_dgm_critic", "poly_inr/digits"
    apart, shapes = (
        critic_values("critic_separation", "auroc"),
        critic_values("critic_topology", "distance", **{"class": "mean"}),
    )
    floor = critic_values("critic_topology", "floor", **{"class": "mean"})
    arms: dict[str, list[dict[str, Any]]] = {ours: [], conv: []}
    for result in read_results("dgm/critic_results"):  # of the same runs, both critics on one machine
        arms[result["experiment"]].append(result)
    distances = {experiment: [result["metrics"]["fd"] for result in results] for experiment, results in arms.items()}
    rows = []
    for says, metric, values, lower in (
        ("tells held-out digits from the same with their four parts out of place", "AUROC", apart, False),
        ("makes its generator draw the pieces and holes of real digits", "total variation", shapes, True),
        ("makes its generator draw better digits", "FD", distances, True),
    ):
        if not values.get(ours) or not values.get(conv):
            continue
        order = Order(
            metric, values[ours], values[conv], lower=lower, holds="holds at this scale", reverse="the other way round"
        )
        means = [f"{sum(values[arm]) / len(values[arm]):.3f}" for arm in (ours, conv)]
        beside = f", real against real {sum(floor[ours]) / len(floor[ours]):.3f}" if metric == "total variation" else ""
        says = f"Not the chapter's: a critic of moments {says}, better than the convolutional one"
        rows.append(compared("Ours", says, arms, order, ours=f"means {means[0]} against {means[1]}{beside}"))
    return rows


def claims() -> list[Claim]:
    return [
        *parameter_claims(),
        *level_claims(),
        *covering_claims(),
        *mask_claims(),
        *critic_claims(),
        untested("Table 5.2", "CIFAR-10, 100: 95.51, 80.60 % (DGM ResNet-18) against 94.78, 76.93 % (w/o pooling)", NEEDS_GPUS),
        untested("Table 5.3", "ImageNet: 72.36 % (DGM ResNet-18) against 68.42 % (w/o pooling)", NEEDS_IMAGENET),
        untested("Table 5.4", "CIFAR-100: 80.60 % (DGM ResNet-18) against 77.35 % (ResNet-18)", NEEDS_GPUS),
        untested("Table 5.5", "ImageNet: 72.36, 75.63, 77.06, 72.69 % (DGM ResNet-18, 34, 50, MobileNet)", NEEDS_IMAGENET),
        untested("Table 5.6", "Fine-tuned in the bases alone: CIFAR-10, 100 93.79, 75.83 % (DGM ResNet-18)", NEEDS_IMAGENET),
        untested("Table 5.7", "ImageNet-C: mCE 71.74 (DGM ResNet-50) against 74.97 (ResNet-50)", NEEDS_IMAGENET),
        untested("Table 5.8", "VOC 2012, Cityscapes: mIoU 78.43, 74.77 (DGM ResNet-50, two 1 x 1 convolutions)", NEEDS_IMAGENET),
    ]  # fmt: skip
