"""How real made defects are: whether a classifier tells them from real ones, and how far their features lie from real ones'.

python -m docs.ledger.realness --data data/deeppcb --num-real 5 20 --seeds 0 1 2 [--arms rendered refined ...]

The sets are those of `python -m docs.ledger.detection_arms`, at the same places of the same boards. The real ones are patches of
the test split, which nothing has learned from. A classifier of patches is trained to tell both, as many of each class, on one half
of the boards, and tested on the other: an AUROC of 0.5 says that it cannot, 1.0 that it always can. The Frechet and kernel
distances are those of all patches, in features of EfficientNet-Lite0; `floor` is what half of the real ones have from the others.
The background's PSNR is that of all pixels in these patches which lie beside the defects; what drawing left alone has that of JPEG.
Lines go to docs/results/realness/<set>.jsonl, a line each of (arm, number, seed), what claims state of them to
<set>_differences.jsonl, and docs/results/detection.md shows them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from tqdm import tqdm

from datamodules.defect_patches import boxed_set, drawn_sets
from datamodules.patches.augmentation import PatchAugmentation, middle, window_side
from datamodules.patches.composition import ComposedOrder, Composition
from datamodules.patches.paste import grown
from datamodules.patches.windows import BoxedSet, Windows, joined
from docs.ledger.detection_page import PAGE, page
from docs.ledger.gain_answers import read_lines
from docs.ledger.gain_arms import BATCH, Bench, predicted, train
from docs.ledger.gain_network import PatchResNet
from docs.ledger.learned_sets import METHODS, counts_of, folder_of
from docs.ledger.realness_page import ARMS, DIFFERENCES_OF, FOLDER, difference_lines
from docs.ledger.results import Line, write_results
from docs.ledger.screening_scores import SIDE
from docs.ledger.set_options import add_cells, add_set, append, bench_of, name_of
from launch.errors import one_line_errors
from metrics.features import EfficientNetLite
from metrics.functional import Gaussian, frechet_distance, polynomial_mmd

STEPS = 300
DILATION = 3  # pixels around a mask that are neither defect nor background


def patches(bench: Bench, folder: Path) -> Windows:
    """Windows around the defects of a set."""
    side = window_side(bench.protocol.size)
    sets = [boxed for _, boxed in drawn_sets(folder, bench.source)]
    parts, first = [], 0
    for boxed in sets:
        some = boxed.around(boxed.places(), side, real=False)
        some.origins.add_(first)
        parts.append(some)
        first += len(boxed.images)
    return joined(parts)


def background_error(drawn: BoxedSet, side: int) -> tuple[float, int]:
    """Squared error of a set from its faultless twins, summed over what :func:`background` shows, and the number of values."""
    assert drawn.twins is not None
    assert drawn.masks is not None
    squares, count = 0.0, 0
    for number in range(len(drawn.images)):
        row = torch.tensor([number])
        image, twin, mask = (torch.as_tensor(rows[row][0]) for rows in (drawn.images, drawn.twins, drawn.masks))
        places = [drawn.middle(number, int(box)) for box in (drawn.box_labels[number] >= 0).nonzero()[:, 0]]
        shown = background(mask, places, side)
        difference = (image.double() - twin.double())[:, shown]
        squares, count = squares + float(difference.square().sum()), count + difference.numel()
    return squares, count


def background(mask: Tensor, places: Sequence[tuple[int, int]], side: int) -> Tensor:
    """The pixels of the windows around ``places`` (row, column) that are farther than some pixels from the mask [H, W]: bool."""
    near = torch.zeros(mask.shape, dtype=torch.bool)
    for y, x in places:
        near[max(0, y - side // 2) : y + side // 2, max(0, x - side // 2) : x + side // 2] = True
    return near & ~grown((mask > 0)[None], DILATION)[0]


def alike(real: Windows, made: Windows) -> tuple[Windows, Windows]:
    """Both of the classes alone that boards of even and of odd numbers show made ones of, numbered from 0 on."""
    halves = [set(made.labels[made.origins % 2 == rest].tolist()) for rest in (0, 1)]
    classes = torch.tensor(sorted(set.intersection(*halves)))
    kept = [some.chosen(torch.isin(some.labels, classes).nonzero()[:, 0]) for some in (real, made)]
    one, other = (replace(some, labels=torch.searchsorted(classes, some.labels)) for some in kept)
    return one, other


def told_apart(real: Windows, made: Windows, bench: Bench, *, seed: int) -> float:
    """The AUROC of real against made patches, of boards of odd numbers by a classifier that was trained on the others."""
    both = joined([real, made])
    known = both.origins % 2 == 0
    learned, tested = both.chosen(known.nonzero()[:, 0]), both.chosen((~known).nonzero()[:, 0])
    num_classes = int(both.labels.max()) + 1
    order = ComposedOrder(learned, Composition(num_classes, 0.0, 0.5), block=BATCH, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PatchResNet(image_channels=bench.source.image_shape[0], num_classes=2)
    size = bench.protocol.size
    rows = {"image": learned.images, "label": learned.real}
    average, _ = train(network, rows, order, PatchAugmentation(seed, size, strong=False), steps=STEPS, paired=False)
    chances = predicted(average, tested, size, paired=False)[:, 1]
    # Each class weighs as much on both sides: that a set has more of one tells nothing.
    weights = np.zeros(len(tested))
    for label in range(num_classes):
        for is_real in (0, 1):
            own = ((tested.labels == label) & (tested.real == is_real)).numpy()
            weights[own] = 1 / max(1, own.sum())
    return float(roc_auc_score(tested.real.numpy(), chances, sample_weight=weights))


class Distances:
    """Distances from real patches, of as many made ones of each class as there are real ones."""

    def __init__(self, size: int) -> None:
        self.extractor = EfficientNetLite(0, side=SIDE)
        self.size = size

    def features(self, windows: Windows) -> Tensor:
        with torch.no_grad():
            parts = [self.extractor.extract(part)["features"] for part in middle(windows.images, self.size).split(64)]
        return torch.cat(parts).double()

    def of(self, real: Windows, made: Windows) -> dict[str, float]:
        numbers = []
        for label in real.labels.unique().tolist():
            own = (made.labels == label).nonzero()[:, 0]
            count = int((real.labels == label).sum())
            numbers.append(own[torch.arange(count) % len(own)])
        return distances_of(self.features(real), self.features(made.chosen(torch.cat(numbers))))

    def floor(self, real: Windows) -> dict[str, float]:
        """Every other real patch against the rest."""
        features = self.features(real)
        return distances_of(features[::2], features[1::2])


def distances_of(one: Tensor, other: Tensor) -> dict[str, float]:
    fd = frechet_distance(Gaussian.of(one), Gaussian.of(other))
    return {"fd": round(fd, 2), "kid": round(polynomial_mmd(one, other), 5)}


def measure(given: argparse.Namespace, path: Path) -> None:
    bench = bench_of(given)
    done = {(line["arm"], line.get("num_real"), line.get("seed")) for line in read_lines(path)}
    boxed = boxed_set(bench.source, "test")
    real = boxed.around(boxed.places(), window_side(bench.protocol.size), real=True)
    distances = Distances(bench.protocol.size)
    told = {"set": name_of(given), "steps": STEPS}
    if not done:
        append(path, told | {"arm": "floor"} | distances.floor(real))
    cells = [(arm, number, seed) for seed in given.seeds for number in given.num_real for arm in given.arms]
    for cell in tqdm([cell for cell in cells if cell not in done], desc="cells"):
        arm, number, seed = cell
        folder = folder_of(bench, arm, number, seed)
        assert folder is not None
        line: Line = {"arm": arm, "num_real": number, "seed": seed}
        if arm in METHODS:
            line["precision"] = given.precision
        if not any(counts_of(folder).values()):
            append(path, told | line | {"failed": "no defect shows"})
            continue
        made = patches(bench, folder)
        errors = [background_error(boxed, bench.protocol.size) for _, boxed in drawn_sets(folder, bench.source)]
        mean = sum(squares for squares, _ in errors) / sum(count for _, count in errors)
        psnr = math.inf if mean == 0 else 10 * math.log10(255**2 / mean)
        of_real, made = alike(real, made)
        line |= {"patches": len(made), "classes": len(made.labels.unique()), "psnr": round(psnr, 2)}
        auroc = round(told_apart(of_real, made, bench, seed=seed), 4)
        append(path, told | line | {"auroc": auroc} | distances.of(of_real, made))


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_set(parser)
    add_cells(parser, numbers=(5, 20), seeds=range(3))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--lines", type=Path, help="instead of docs/results/realness/<set>.jsonl")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    torch.set_num_threads(1)
    with one_line_errors():
        path = given.lines or FOLDER / f"{name_of(given)}.jsonl"
        measure(given, path)
        if given.lines is None:
            if differences := difference_lines(read_lines(path)):
                write_results(f"realness/{path.stem}{DIFFERENCES_OF}", differences)
            PAGE.write_text(page())
        print(path)


if __name__ == "__main__":
    main()
