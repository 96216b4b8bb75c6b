"""What a perfect generator would score."""

from __future__ import annotations

import pytest
import torch

from docs.ledger.floor import FLOOR, floor
from docs.ledger.results import read_results
from launch.data_sets import make_datamodule
from metrics.evaluation import Instruments, evaluate
from metrics.features import Pixels
from metrics.image_sets import ImagesInMemory
from metrics.splits import real_images


def test_the_floor_of_the_digits_is_what_resampling_says_too() -> None:
    images = real_images(make_datamodule("digits"), "all")
    halves, thirds, quarters = read_results(FLOOR)
    assert floor(images, parts=4, splits=3)["fd_at"] == pytest.approx(quarters["fd_at"], rel=0.15)
    assert [line["fd_at"] for line in (thirds, quarters)] == pytest.approx([halves["fd_at"]] * 2, rel=0.05)
    random = torch.Generator().manual_seed(0)
    resampled = [
        ImagesInMemory("digits", images.tensor[torch.randint(1797, (1797,), generator=random)]) for _ in range(12)
    ]
    distances = [
        evaluate(one, other, Instruments(extractor=Pixels(images.shape), metrics=["fd"]))["fd"]
        for one, other in zip(resampled[::2], resampled[1::2], strict=True)
    ]
    assert sum(distances) / len(distances) == pytest.approx(halves["fd_at"], rel=0.2)
