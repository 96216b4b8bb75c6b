"""The arms of `python -m docs.ledger.gain`: what a classifier of defects learns from, trained and tested."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.batches import Augment, Batch, as_batch
from datamodules.deeppcb import DeepPCB
from datamodules.defect_patches import (
    NUM_PASTED,
    boxed_set,
    drawn_sets,
    faultless,
    known,
    synthetic_windows,
    test_windows,
)
from datamodules.inspection import Inspection
from datamodules.patches.augmentation import PatchAugmentation, middle, window_side
from datamodules.patches.composition import ComposedOrder, Composition
from datamodules.patches.paste import pasted
from datamodules.patches.windows import BoxedSet, Windows, joined
from datamodules.synthesis.drawing import Drawing, Plan
from datamodules.synthesis.fitting import fit
from datamodules.synthesis.painting import Style
from datamodules.synthesis.reading import CLEAN, choose, clean_images, is_deeppcb, pixels_of, read_examples
from datamodules.synthesis.recipe import read_recipe
from docs.ledger import learned_sets
from docs.ledger.gain_network import PatchResNet
from docs.ledger.gain_scores import scored
from docs.ledger.screening_scores import SIDE, scores_of
from generative.averaging import average_decay, averaged_copy, update_average
from generative.rendering.images import from_uint8
from generative.schedules import warmup_cosine

ARMS = {  # key: what the page calls it
    "real": "real",
    "strong": "real, strong augmentation",
    "paste_anywhere": "+ real ones pasted anywhere",
    "paste_matched": "+ real ones pasted where the rim fits",
    "rendered_random": "+ drawn, random shapes and places",
    "rendered": "+ drawn, matched",
    "rendered_only": "drawn alone, matched",
    "random_only": "drawn alone, random shapes and places",
    "screened": "+ drawn, matched, the worst fifth left out",
    "refined": "+ drawn, matched, then refined",
    "filled": "+ holes in drawn shapes, filled",
    "style_transfer": "+ style transfer",
    "cycle": "+ Cycle GAN",
    "frozen": "real, frozen EfficientNet-Lite0 features",
    "pair_real": "real, image and faultless twin",
    "pair_rendered": "+ drawn, image and faultless twin",
}
ASKED = "rendered"  # the arm whose worth is asked for
OF_PAIRS = ("pair_real", "pair_rendered")  # need faultless twins
SIZE = 64  # pixels of a patch
STEPS = 600
BATCH = 60
CLEAN_SHARE = 0.2  # of a batch, and at least that of a class
RATE, DECAY = 3e-3, 1e-2  # AdamW, chosen by the training accuracy of `rendered`: SGD at 0.1 and 0.03 was lower
WARMUP = 0.05
HALF_LIFE = 1200  # images of the averaged weights
LAST_STEPS = 30  # whose patches the training accuracy is of
PICTURES = 80  # drawn by a recipe
PER_PICTURE = (8, 12)
KEPT = 0.8  # of the drawn pictures, in the arm `screened`
PROBES = 1000  # added to the seed that drawn probes have
NUM_WORST = 24  # drawn patches that are shown, of those that the classifier errs on most


@dataclass(frozen=True)
class Protocol:
    """What all arms share: patches of ``size`` pixels, ``steps`` of training, ``pictures`` drawn by each recipe."""

    size: int = SIZE
    steps: int = STEPS
    pictures: int = PICTURES


def source_of(data: Path) -> ImageDataModule:
    """The set in a folder, at the size that its pictures have. ValueError says what is missing."""
    examples = read_examples(data)
    first = pixels_of(examples.all[0].image)
    given = {"data_dir": str(data), "resolution": max(first.shape[:2]), "batch_size": 1, "seed": 0}
    if is_deeppcb(data):
        return DeepPCB(**given)
    return Inspection(classes=list(examples.classes), channels=1 if first.ndim == 2 else 3, **given)


def of_all_classes(made: Windows, real: Windows) -> Windows:
    """``made``, with the ``real`` defects of every class that a network drew none of in the place of made ones."""
    own = (~torch.isin(real.labels, made.labels)).nonzero()[:, 0]
    return joined([made, replace(real.chosen(own), real=torch.zeros_like(real.real[own]))]) if len(own) else made


def clean_of(data: Path, asked: Path | None) -> Path:
    """Where the faultless pictures lie that are drawn on; ValueError where nothing says."""
    if asked is not None or is_deeppcb(data):
        return asked or data
    if not (data / CLEAN).is_dir():
        raise ValueError(
            f"{data / CLEAN} is no folder: put pictures that show no defect there, or give their folder by --clean"
        )
    return data / CLEAN


@dataclass
class Bench:
    """The set in the folder ``data``, read once by ``source``; on pictures of ``faultless`` is drawn, into ``cache``.

    ``precision``: in which networks train that learn to draw (docs/ledger/learned_sets.py), as Lightning names it.
    """

    data: Path
    faultless: Path
    source: ImageDataModule
    cache: Path
    protocol: Protocol = field(default_factory=Protocol)
    drawn: dict[tuple[int, int, str], Windows] = field(default_factory=dict)
    precision: str = "32-true"

    @property
    def names(self) -> tuple[str, ...]:
        return self.source.target_classes

    @property
    def has_twins(self) -> bool:
        return self.train.twins is not None

    @cached_property
    def train(self) -> BoxedSet:
        return boxed_set(self.source, "train")

    @cached_property
    def clean(self) -> Windows:
        return faultless(self.train, self.protocol.size)

    @cached_property
    def test(self) -> Windows:
        return test_windows(boxed_set(self.source, "test"), self.protocol.size)

    @cached_property
    def unseen(self) -> np.ndarray | None:
        """Which test patches are of groups that no training image is of, where the set has groups."""
        groups = [self.source.targets(split).get("group") for split in ("train", "test")]
        training, test = (group.numpy() if isinstance(group, Tensor) else None for group in groups)
        return None if training is None or test is None else ~np.isin(test[self.test.origins.numpy()], training)

    def real(self, num_real: int, seed: int) -> Windows:
        return known(self.train, self.names, window_side(self.protocol.size), num_real=num_real, seed=seed)

    def synthetic(self, num_real: int, seed: int, shapes: str) -> Windows:
        """Windows drawn by the recipe of so many real defects of a seed, which are the very ones of :meth:`real`."""
        key = num_real, seed, shapes
        if key not in self.drawn:
            self.drawn.clear()  # one is in use at a time
            self.drawn[key] = self.drawn_by(num_real, seed, shapes, plan_seed=seed)
        return self.drawn[key]

    def probes(self, num_real: int, seed: int) -> Windows:
        """As :meth:`synthetic`, by the same recipe on other places: what no classifier has learned from."""
        return self.drawn_by(num_real, seed, "matched", plan_seed=PROBES + seed)

    def drawn_by(self, num_real: int, seed: int, shapes: str, *, plan_seed: int) -> Windows:
        folder = self.folder_drawn(num_real, seed, shapes, plan_seed)
        return synthetic_windows(folder, self.source, window_side(self.protocol.size))

    def screened(self, num_real: int, seed: int) -> Windows:
        """The windows of :meth:`synthetic` without those of the worst pictures."""
        side, size = window_side(self.protocol.size), self.protocol.size
        drawn = [boxed for _, boxed in drawn_sets(self.folder_drawn(num_real, seed, "matched", seed), self.source)]
        windows = [boxed.around(boxed.places(), side, real=False) for boxed in drawn]
        kept = scores_of(list(zip(drawn, windows, strict=True)), self.real(num_real, seed), size).kept(KEPT)
        firsts = np.cumsum([0, *(len(boxed.images) for boxed in drawn)])
        parts = [
            some.chosen(torch.from_numpy(np.isin(some.origins.numpy() + first, kept)))
            for some, first in zip(windows, firsts, strict=False)
        ]
        return joined(parts)

    def folder_drawn(self, num_real: int, seed: int, shapes: str, plan_seed: int) -> Path:
        folder = self.cache / f"{num_real}_{seed}_{shapes}{'_probes' if plan_seed != seed else ''}"
        if not (folder / "train.json").exists():
            recipe = self.recipe(num_real, seed)
            style = Style(shapes=shapes, place="anywhere" if shapes == "random" else None)
            plan = self.plan(plan_seed, style)
            drawing = Drawing(recipe, read_recipe(recipe), clean_images(self.faultless), plan, folder)
            drawing.start()
            for number in drawing.missing():
                drawing.draw(number)
            drawing.finish()
        return folder

    def plan(self, seed: int, style: Style | None = None) -> Plan:
        return Plan(self.protocol.pictures, seed, PER_PICTURE, style or Style())

    def recipe(self, num_real: int, seed: int) -> Path:
        path = self.cache / f"{num_real}_{seed}.yaml"
        if not path.exists():
            examples = read_examples(self.data)
            chosen = choose(examples, num_real=num_real, seed=seed)
            fit(examples, chosen, num_real=num_real, seed=seed, families={}).write(path)
        return path

    def made(self, arm: str, num_real: int, seed: int) -> Windows | None:
        """What an arm learns from beside the real defects."""
        name = arm.removeprefix("pair_")
        if name.startswith("paste_"):
            how = name.removeprefix("paste_")
            return pasted(self.real(num_real, seed), self.clean, NUM_PASTED, how=how, seed=seed)
        if name == "screened":
            return self.screened(num_real, seed)
        if name in learned_sets.METHODS:
            folder = learned_sets.learned_folder(self, name, num_real, seed)
            made = synthetic_windows(folder, self.source, window_side(self.protocol.size))
            return of_all_classes(made, self.real(num_real, seed))
        if name.startswith(("rendered", "random")):
            return self.synthetic(num_real, seed, "random" if "random" in name else "matched")
        return None

    def cell(self, arm: str, num_real: int, seed: int) -> dict[str, Any]:
        """The scores of one arm, of the last iterate's averaged weights, and the CPU seconds it took."""
        start = time.process_time()
        made = self.made(arm, num_real, seed)
        drawing = time.process_time() - start
        found = self.frozen(num_real, seed) if arm == "frozen" else self.trained(arm, made, num_real, seed)
        chances = found.pop("chances")
        seconds = {"drawing_seconds": round(drawing, 1), "seconds": round(time.process_time() - start, 1)}
        return scored(chances, self.test.labels.numpy(), self.unseen) | found | seconds

    def trained(self, arm: str, made: Windows | None, num_real: int, seed: int) -> dict[str, Any]:
        size, paired = self.protocol.size, arm.startswith("pair_")
        average, training = self.learned(arm, made, num_real, seed)
        found = {
            "chances": predicted(average, self.test, size, paired=paired),
            "training_accuracy": round(100 * training, 2),
        }
        if arm == ASKED and made is not None:
            right = predicted(average, made, size, paired=paired)[np.arange(len(made)), made.labels.numpy()]
            found["worst"] = np.argsort(right)[:NUM_WORST].tolist()
        return found

    def learned(self, arm: str, made: Windows | None, num_real: int, seed: int) -> tuple[PatchResNet, float]:
        """The network of an arm, and the share of its last patches that it named right."""
        paired = arm.startswith("pair_")
        windows = joined([self.real(num_real, seed), self.clean, *([] if made is None else [made])])
        clean = max(CLEAN_SHARE, 1 / (len(self.names) + 1))
        share = 0.0 if made is None else 1.0 if arm.endswith("_only") else 0.5
        order = ComposedOrder(windows, Composition(len(self.names), clean, share), block=BATCH, seed=seed)
        augmentation = PatchAugmentation(seed, self.protocol.size, strong=arm == "strong")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            channels = self.source.image_shape[0] * (1 + paired)
            network = PatchResNet(image_channels=channels, num_classes=len(self.names) + 1)
        return train(network, rows_of(windows), order, augmentation, steps=self.protocol.steps, paired=paired)

    def frozen(self, num_real: int, seed: int) -> dict[str, Any]:
        """Logistic regression on features of EfficientNet-Lite0, of the real defects turned by quarters and of clean ones."""
        from sklearn.linear_model import LogisticRegression

        real = self.real(num_real, seed)
        views = [self.features(torch.rot90(real.images, turns, (2, 3))) for turns in range(4)]
        rows = np.concatenate([*views, self.clean_features])
        labels = np.concatenate([*[real.labels.numpy()] * 4, self.clean.labels.numpy()])
        mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
        model = LogisticRegression(max_iter=300, class_weight="balanced", C=0.01)
        model.fit((rows - mean) / deviation, labels)
        training = float((model.predict((rows - mean) / deviation) == labels).mean())
        chances = model.predict_proba((self.test_features - mean) / deviation)
        return {"chances": chances, "training_accuracy": round(100 * training, 2)}

    @cached_property
    def test_features(self) -> np.ndarray:
        return self.features(self.test.images)

    @cached_property
    def clean_features(self) -> np.ndarray:
        return self.features(self.clean.images)

    def features(self, windows: Tensor) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = self.extractor.extract(middle(windows, self.protocol.size))["features"].numpy()
        return found

    @cached_property
    def extractor(self) -> Any:
        from metrics.features import EfficientNetLite

        return EfficientNetLite(0, side=SIDE)


def rows_of(windows: Windows) -> dict[str, Tensor]:
    rows = {"image": windows.images, "label": windows.labels}
    return rows if windows.twins is None else rows | {"template": windows.twins}


def shown(batch: Batch, paired: bool) -> Tensor:
    images = torch.cat([batch["image"], batch["template"]], dim=1) if paired else batch["image"]
    return images.contiguous(memory_format=torch.channels_last)


def train(
    network: PatchResNet,
    rows: dict[str, Tensor],
    order: ComposedOrder,
    augmentation: Augment,
    *,
    steps: int,
    paired: bool,
) -> tuple[PatchResNet, float]:
    """``steps`` of AdamW with a warm-up and a cosine: the averaged network, and its share of right names near the end.

    The share is that of the network that learns, on the patches of the last steps before it has learned from them.
    """
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    average = averaged_copy(network)
    budget = steps * order.block
    hits = []
    for step in range(steps):
        first = step * order.block
        numbers = torch.from_numpy(order(np.arange(first, first + order.block)))
        batch = as_batch(rows, numbers, first, augmentation)
        factor = warmup_cosine(first + order.block // 2, warmup=int(WARMUP * budget), end=budget)
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor
        logits = network(shown(batch, paired))
        optimizer.zero_grad()
        F.cross_entropy(logits, batch["label"]).backward()
        optimizer.step()
        seen = first + order.block
        update_average(average, network, average_decay(order.block, half_life_images=HALF_LIFE, images_seen=seen))
        if step >= steps - LAST_STEPS:
            hits.append((logits.argmax(dim=1) == batch["label"]).float().mean())
    return average, float(torch.stack(hits).mean())


def predicted(network: PatchResNet, windows: Windows, size: int, *, paired: bool) -> np.ndarray:
    """The chances [N, C] of every class for the middles of ``windows``."""
    with torch.no_grad():
        parts = [network(images) for images in middles(windows, size, paired=paired)]
    found: np.ndarray = torch.cat(parts).softmax(dim=1).numpy()
    return found


def middles(windows: Windows, size: int, *, paired: bool) -> Iterator[Tensor]:
    for numbers in torch.arange(len(windows)).split(100):
        rows = rows_of(windows.chosen(numbers))
        batch = {name: from_uint8(middle(values, size)) for name, values in rows.items() if values.ndim == 4}
        yield shown(batch, paired)
