"""What the decoder costs and what the sampler costs: Table 3 and Figure 15b of the paper, with what its numbers hide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least, check_choice
from generative.randomness import permutation
from generative.rendering.images import from_uint8, to_uint8
from generative.rendering.tables import markdown
from lightning_modules.base import Classifies, ImageData
from lightning_modules.labels import labels_to_follow
from lightning_modules.regene.drawing import AT_ONCE
from lightning_modules.regene.judging import chosen_extractor, chosen_instruments, judging_network
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.samplers import LEAST, check_arms, facts_of, images_of
from lightning_modules.tasks.samples import progress
from lightning_modules.tasks.tables import write_lines
from metrics.evaluation import Work, evaluate, real_summary
from metrics.features import Extractor
from metrics.functional import Gaussian, frechet_distance
from metrics.image_sets import ChosenImages, ImageSet, ImagesInMemory, KeptImageSet, random_part
from metrics.samples import Reconstructions

ARMS = ("convex_2", "variance_2", "training", "pixels_2")
COLUMNS = {
    "org_gen": "Org-Gen",
    "org_recon": "Org-Recon",
    "recon_gen": "Recon-Gen",
    "org_org": "Org-Org, halves",
    "recon_recon": "Recon-Recon, halves",
}
NOTE = """
Org: {num_reference} images of {data}; Recon: their reconstructions; Gen: {count} images of the arm. FD in {extractor}.
Halves: two disjoint halves of Org and of their reconstructions, of {half} images each: what sampling alone leaves.
FD grows as images get fewer: only numbers of the same count compare.
Recon-Gen is no score of a generator: of the arm `training`, which memorises, it is 0 but for the choice of images.
"""
BLENDS = ("pixels", "share")


def three_distances(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    arms: list[str] | None = None,
    judge: list[Classifies] | None = None,
    by_features: bool = False,
    count: int | None = None,
    num_reference: int | None = None,
) -> list[Path]:
    """Table 3: FD between originals (Org), their reconstructions (Recon) and images of each arm (Gen), in the same features.

    Org are ``num_reference`` test images (null: all), Recon what the method makes of these again, and Gen ``count`` images of
    an arm (null: as many). ``arms``, ``judge`` and ``by_features`` are those of task samplers; by default raw pixels.

    **Recon-Gen is no generative score.** It asks whether images are what this decoder makes of images, not whether they are
    like images. A sampler that memorises, which decodes latents of its training images, makes reconstructions and nothing else:
    its distance is 0 but for the choice of images and for what the decoder knows by heart, and whatever is new moves away
    from that. Its arm, ``training``, stands beside the others, and so does what the choice of images alone makes: FD between
    reconstructions of two disjoint halves of Org.

    The root of FD is a metric of Gaussians (Wasserstein-2), so of the three roots none exceeds the sum of the others; that
    is asserted of each arm, up to :func:`rounding`.
    """
    names = list(ARMS) if arms is None else arms
    check_arms(method, names)
    extractor = chosen_extractor(method, judging_network(method, judge), by_features=by_features)
    originals = some_test_images(datamodule, num_reference)
    count = len(originals) if count is None else count
    check_at_least(LEAST, count=count, num_reference=len(originals))
    work = Work(device=method.device)
    org, recon = (statistics(part, extractor, work) for part in (originals, Reconstructions(method, originals)))
    facts = facts_of(method, seed=seed) | {"extractor": extractor.name, "data": f"{datamodule.name}:test"}
    facts |= {"count": count, "num_reference": len(originals)} | floors(method, originals, extractor, work)
    cycle = method.label_cycle(labels_to_follow(method, datamodule, "data"), seed=seed)
    assert cycle is not None
    rows = []
    with progress(len(names), "three_distances") as bar:
        for name in names:
            gen = statistics(images_of(method, name, datamodule, cycle.cpu(), count, seed=seed), extractor, work)
            rows.append(facts | {"arm": name} | distances_of(org, recon, gen))
            bar.update()
    written, table = write_lines(rows, output / "three_distances.jsonl"), output / "three_distances.md"
    table.write_text(distance_table(rows))
    return [written, table]


def distances_of(org: Gaussian, recon: Gaussian, gen: Gaussian) -> dict[str, float]:
    """FD of each pair by its name; asserts the triangle inequality of the roots."""
    pairs = {"org_gen": (org, gen), "org_recon": (org, recon), "recon_gen": (recon, gen)}
    found = {name: frechet_distance(*pair) for name, pair in pairs.items()}
    check_triangle(list(found.values()), tolerance=max(rounding(*pair) for pair in pairs.values()))
    return found


def check_triangle(squares: Sequence[float], *, tolerance: float) -> None:
    """Assert that of the roots of three squared distances none exceeds the sum of the two others.

    Each square may be wrong by ``tolerance``. That no root exceeds the sum of the others also says |a - b| <= c.
    """
    for place, square in enumerate(squares):
        others = [*squares[:place], *squares[place + 1 :]]
        most = sum(math.sqrt(other + tolerance) for other in others)
        assert math.sqrt(max(square - tolerance, 0.0)) <= most, f"FDs {list(squares)} are not of three sets of features"


def rounding(a: Gaussian, b: Gaussian) -> float:
    """What float64 may leave of FD between two Gaussians in D features: 2 D sqrt(eps tr C_a tr C_b).

    FD sums the roots of D eigenvalues of a product of both covariances. Each is wrong by about eps times the largest, which
    is at most tr C_a tr C_b, and the root of one that ought to be 0 by the root of that.
    """
    return 2.0 * len(a.mean) * math.sqrt(torch.finfo(torch.float64).eps * float(a.trace()) * float(b.trace()))


def floors(method: ReGene, originals: KeptImageSet, extractor: Extractor, work: Work) -> dict[str, float]:
    """FD between two disjoint halves of the originals, and between the reconstructions of the two."""
    parts = halves(originals)
    remade = [Reconstructions(method, part) for part in parts]
    return {
        "org_org": frechet_distance(*(statistics(part, extractor, work) for part in parts)),
        "recon_recon": frechet_distance(*(statistics(part, extractor, work) for part in remade)),
    }


def halves(images: KeptImageSet) -> list[ChosenImages]:
    """Two disjoint halves of a set, the same ones everywhere; of an odd number one image is in neither."""
    order = permutation(0, 0, len(images), name="halves").tolist()
    half = len(order) // 2
    parts = (order[:half], order[half : 2 * half])
    return [ChosenImages(images, numbers, name=f"half of {images.name}") for numbers in parts]


def statistics(images: ImageSet, extractor: Extractor, work: Work) -> Gaussian:
    """Mean and covariance of the features of a set of images."""
    return real_summary(images, extractor, metrics=["fd"], work=work).gaussians["features"]


def some_test_images(datamodule: ImageData, count: int | None) -> KeptImageSet:
    """``count`` images of the test split, the same ones everywhere, or all."""
    return random_part(ImagesInMemory(f"{datamodule.name}:test", *datamodule.split("test")), count)


def distance_table(rows: Sequence[Mapping[str, Any]]) -> str:
    text = [[row["arm"], *(f"{row[name]:.3f}" for name in COLUMNS)] for row in rows]
    note = NOTE.format(**rows[0], half=rows[0]["num_reference"] // 2)
    return markdown(("arm", *COLUMNS.values()), text) + note


def decoder_error(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    steps: int = 6,
    blend: str = "pixels",
    judge: list[Classifies] | None = None,
    by_features: bool = False,
    num_reference: int | None = None,
) -> list[Path]:
    """Figure 15b: FD and asked class between test images (a = 0) and their reconstructions (a = 1), in ``steps`` even steps.

    ``blend=pixels``: every image is (1 - a) times the original and a times its reconstruction, as we read the figure;
    ``blend=share``: a share a of the images, in the order of ``seed``, are reconstructions and the others originals.
    ``num_reference`` of the test images (null: all), against which FD is too; ``judge`` and ``by_features`` are those of
    task samplers.
    """
    check_at_least(2, steps=steps)
    check_choice("blend", blend, BLENDS)
    instruments = chosen_instruments(method, datamodule, judge, by_features=by_features, metrics=["fd", "accuracy"])
    originals = some_test_images(datamodule, num_reference)
    real = real_summary(originals, instruments.extractor, metrics=["fd"], work=instruments.work)
    sides = originals.images(0, len(originals)), remade_images(method, originals)
    facts = facts_of(method, seed=seed) | {"extractor": instruments.extractor.name, "data": originals.name}
    facts |= {"blend": blend, "num_reference": len(originals)}
    rows = []
    for step in range(steps):
        share = step / (steps - 1)
        images = ImagesInMemory(f"{originals.name}, {share:g}", blended(*sides, share, blend, seed), originals.labels())
        rows.append(facts | {"share": share} | evaluate(images, real, instruments))
    written, table = write_lines(rows, output / "decoder_error.jsonl"), output / "decoder_error.md"
    text = [[f"{row['share']:g}", f"{row['fd']:.3f}", f"{row['accuracy']:.3f}"] for row in rows]
    table.write_text(markdown(("a", "FD", "asked class"), text))
    return [written, table, save_lines(rows, output / "decoder_error.png")]


def remade_images(method: ReGene, originals: KeptImageSet) -> Tensor:
    """The reconstructions of all images of a set, uint8 [N, C, H, W]."""
    remade, size = Reconstructions(method, originals), len(originals)
    return torch.cat([remade.images(first, min(AT_ONCE, size - first)) for first in range(0, size, AT_ONCE)])


def blended(originals: Tensor, remade: Tensor, share: float, blend: str, seed: int) -> Tensor:
    """(1 - share) originals + share remade, of uint8 images [N, C, H, W]: of every pixel, or of the number of images."""
    if blend == "pixels":
        return to_uint8((1.0 - share) * from_uint8(originals) + share * from_uint8(remade))
    chosen = torch.from_numpy(permutation(seed, 0, len(originals), name="share"))[: round(share * len(originals))]
    mixed = originals.clone()
    mixed[chosen] = remade[chosen]
    return mixed


def save_lines(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """FD and the share that is named as asked, over the share of the reconstruction."""
    from matplotlib.figure import Figure  # a second that no other task waits for

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    shares = [row["share"] for row in rows]
    for axes, name in zip(figure.subplots(1, 2), ("fd", "accuracy"), strict=True):
        axes.plot(shares, [row[name] for row in rows], marker="o")
        axes.set_xlabel("a: share of the reconstruction")
        axes.set_ylabel({"fd": f"FD in {rows[0]['extractor']}", "accuracy": "asked class"}[name])
    figure.axes[0].set_ylim(bottom=0)
    figure.savefig(path, dpi=100)
    return path
