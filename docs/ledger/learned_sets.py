"""Drawn sets that went through a network, each trained here on the few real defects of its cell: what learned arms learn from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from datamodules.patches.augmentation import window_side
from datamodules.patches.paste import COPIED, RIM, grown
from datamodules.patches.windows import Windows, changed
from datamodules.synthesis.drawing import FOLDER, Drawing
from datamodules.synthesis.reading import clean_images, is_deeppcb
from datamodules.synthesis.recipe import Recipe, read_recipe
from datamodules.synthesis.translating import FAULTLESS, Translation, setting_for
from generative.randomness import Stream
from launch.translation import translation_of

if TYPE_CHECKING:
    from docs.ledger.gain_arms import Bench

ROOT = Path(__file__).resolve().parents[2]
METHODS = {  # arm: the experiment of defects/ that makes its set
    "refined": "refiner",
    "filled": "filler",
    "style_transfer": "style_transfer",
    "cycle": "cycle",
}
PASTED = "pasted"  # real defects copied to the drawn places, no network
ARMS = (*METHODS, PASTED)
FITS = 8.0  # levels of 255 by which a rim may fit worse than the best one
VIEWS = 8  # of a defect: four quarter turns, each mirrored or not


def folder_of(bench: Bench, arm: str, num_real: int, seed: int) -> Path | None:
    """The pictures that an arm has beside the real ones; None of ``real``."""
    if arm == "real":
        return None
    if arm in ARMS:
        return learned_folder(bench, arm, num_real, seed)
    return bench.folder_drawn(num_real, seed, "matched", seed)


def learned_folder(bench: Bench, arm: str, num_real: int, seed: int) -> Path:
    """The set of an arm in COCO's format: the pictures of the drawn set, each defect made again by a network or a copy.

    Places, classes and boards are those of the drawn set of (``num_real``, ``seed``). The network is trained first where it
    is not there yet; a process that was killed goes on.
    """
    folder = bench.cache / f"{num_real}_{seed}_{arm}"
    if not (folder / "train.json").exists():
        recipe_file = bench.recipe(num_real, seed)
        recipe = read_recipe(recipe_file)
        if arm == PASTED:
            known = bench.real(num_real, seed)
            copies = Copies(known, bench.names, bench.protocol.size, seed=seed)
            translation = Translation(copies, recipe.boxes, setting=setting_for(recipe))
        else:
            translation = translation_of(trained(bench, METHODS[arm], recipe, num_real, seed), recipe, seed=seed)
        drawing = Drawing(recipe_file, recipe, clean_images(bench.faultless), bench.plan(seed), folder, translation)
        drawing.start()
        for number in drawing.missing():
            drawing.draw(number)
        drawing.finish()
    return folder


def counts_of(folder: Path) -> dict[str, int]:
    """How many defects of each class a set in COCO's format has."""
    facts = json.loads((folder / "train.json").read_text())
    names = {row["id"]: row["name"] for row in facts["categories"]}
    found = dict.fromkeys(names.values(), 0)
    for row in facts["annotations"]:
        found[names[row["category_id"]]] += 1
    return found


def same_pictures(folder: Path, other: Path) -> bool:
    """Whether two sets in COCO's format have the same pictures and boxes, byte for byte."""
    names = [sorted(path.name for path in (one / FOLDER).iterdir()) for one in (folder, other)]
    return names[0] == names[1] and all(
        (folder / name).read_bytes() == (other / name).read_bytes()
        for name in ("train.json", *(f"{FOLDER}/{name}" for name in names[0]))
    )


def trained(bench: Bench, method: str, recipe: Recipe, num_real: int, seed: int) -> Path:
    """The last checkpoint of ``experiment=defects/<method>_deeppcb`` on the known defects of a cell."""
    run = bench.cache / f"{num_real}_{seed}_{method}_run"
    checkpoint, done = run / "checkpoints" / "last.ckpt", run / "done"
    if not done.exists():
        words = [
            f"experiment=defects/{method}_deeppcb",
            f"run_dir={run.resolve()}",
            "resume=auto",
            f"seed={seed}",
            f"datamodule.num_real={num_real}",
            f"datamodule.subset_seed={seed}",
            f"num_threads={torch.get_num_threads()}",
            f"trainer.precision={bench.precision}",
            *data_settings(bench, method, recipe),
        ]
        run_program("train.py", words)
        done.touch()
    return checkpoint


def data_settings(bench: Bench, method: str, recipe: Recipe) -> list[str]:
    """What the command line of a method says of the set."""
    if method != "refiner":
        return source_settings(bench)
    data, channels = bench.data.resolve(), recipe.channels
    return [
        f"datamodule.data_dir='{data}'",
        f"datamodule.classes={listed(bench.names)}",
        f"datamodule.channels={channels}",
    ]


def source_settings(bench: Bench) -> list[str]:
    """What the command line says of the set that patches or crops are cut from."""
    data = f"datamodule.source.data_dir='{bench.data.resolve()}'"
    if is_deeppcb(bench.data):
        return [data]
    channels, side, _ = bench.source.image_shape
    return [
        data,
        "datamodule.source._target_=datamodules.inspection.Inspection",
        f"datamodule.source.resolution={side}",
        f"+datamodule.source.classes={listed(bench.names)}",
        f"+datamodule.source.channels={channels}",
    ]


def listed(names: Sequence[str]) -> str:
    return f"[{','.join(repr(name) for name in names)}]"


def run_program(script: str, words: Sequence[str]) -> None:
    """One of the house's programs, in a process of its own; ValueError with its last line where it fails."""
    done = subprocess.run([sys.executable, str(ROOT / script), *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ValueError(f"python {script} {' '.join(words)} failed: {said[-1] if said else done.returncode}")


class Copies:
    """Real defects of ``known`` copied onto faultless windows: of all of a class in eight views one whose rim fits about best.

    A :class:`datamodules.synthesis.translating.Network` of no weights: what a hurried engineer does at the drawn places.
    """

    given = FAULTLESS

    def __init__(self, known: Windows, names: Sequence[str], size: int, *, seed: int) -> None:
        self.side, self.names, self.seed = size, tuple(names), seed
        room = (window_side(size) - size) // 2
        inner = slice(room, room + size)
        pictures, masks = known.images[:, :, inner, inner], changed(known)[:, inner, inner]
        self.labels = known.labels
        self.views = [
            (torch.rot90(p, turns, (2, 3)), torch.rot90(m, turns, (1, 2)))
            for p, m in ((pictures, masks), (pictures.flip(3), masks.flip(2)))
            for turns in range(VIEWS // 2)
        ]

    def __call__(self, windows: np.ndarray, masks: np.ndarray, names: Sequence[str], *, first: int) -> np.ndarray:
        grounds = torch.from_numpy(windows.reshape(*windows.shape[:3], -1)).permute(0, 3, 1, 2)
        found = [
            self.pasted(ground, self.names.index(name), first + number)
            for number, (ground, name) in enumerate(zip(grounds, names, strict=True))
        ]
        pasted: np.ndarray = torch.stack(found).permute(0, 2, 3, 1).reshape(windows.shape).numpy()
        return pasted

    def pasted(self, ground: torch.Tensor, label: int, number: int) -> torch.Tensor:
        """The window [C, S, S] with a defect of the class; ``number`` says which of those that fit alike."""
        own = (self.labels == label).nonzero()[:, 0]
        pictures = torch.cat([picture[own] for picture, _ in self.views])
        copied = grown(torch.cat([mask[own] for _, mask in self.views]), COPIED)
        rim = grown(copied, RIM) & ~copied
        misfit = ((pictures.float() - ground.float()).abs().mean(dim=1) * rim).sum(dim=(1, 2)) / rim.sum(
            dim=(1, 2)
        ).clamp(min=1)
        uniform = Stream(self.seed, "copies that fit").uniform(number, 1, len(misfit))[0]
        best = int((uniform * (misfit <= misfit.min() + FITS)).argmax())
        return torch.where(copied[best], pictures[best], ground)
