"""Run by torchrun in tests/test_evaluate.py: every rank evaluates its share and writes what it saw and what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from generative.ranks import rank_and_world_size, ranks_of_launcher
from launch.checkpoint import load_method
from lightning_modules.base import Draws
from metrics.evaluation import Instruments, Work, evaluate
from metrics.image_sets import ImagesInMemory, RandomPart
from metrics.quality import COMPARISONS
from metrics.samples import DrawnImages
from tests.metrics.test_evaluation import Projection, digits

NUM_IMAGES, BATCH = 101, 8  # neither the batches nor the images divide by two ranks


class Watched(DrawnImages):
    """Remembers which images this rank drew."""

    def images(self, first: int, count: int) -> torch.Tensor:
        drawn = super().images(first, count)
        self.seen = [*getattr(self, "seen", []), *zip(range(first, first + count), drawn, strict=True)]
        return drawn


def main(checkpoint: str, folder: Path) -> None:
    torch.set_num_threads(1)
    with ranks_of_launcher("cpu"):
        rank, world_size = rank_and_world_size()
        method, _ = load_method(Path(checkpoint))
        assert isinstance(method, Draws)
        fake = Watched(method, NUM_IMAGES, seed=4, data_labels=digits().known_labels)
        values = {}
        for name, metrics in (("all", list(COMPARISONS)), ("fd", ["fd", "sfd"])):
            real = RandomPart(ImagesInMemory("digits", digits().tensor), 97)
            work = Work(batch_size=BATCH, cache=folder / "cache")
            values[name] = evaluate(fake, real, Instruments(extractor=Projection(), metrics=metrics, work=work))
        half = len(fake.seen) // 2
        seen = {number: image.flatten().tolist() for number, image in fake.seen[:half]}
        out = {"values": values, "numbers": [number for number, _ in fake.seen[:half]], "images": seen}
        (folder / f"{rank}_of_{world_size}.json").write_text(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
