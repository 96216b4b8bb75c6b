"""Where the images of a task come from: the test split, a folder, a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from generative.rendering.images import to_uint8
from lightning_modules.base import Draws
from lightning_modules.tasks.originals import open_originals
from tests.support.photos import write_photos

DATA = Digits(batch_size=8, seed=0)


def opened(method: Draws, **settings: object) -> tuple[torch.Tensor, torch.Tensor | None]:
    given = {"images": None, "count": 3, "classes": None, "fit": False} | settings
    return open_originals(method, DATA, **given)  # type: ignore[arg-type]


def test_test_images_by_number(method: Draws) -> None:
    held_out, labels = DATA.split("test")
    first, own = opened(method)
    chosen, _ = opened(method, images=[5, 2])
    assert torch.equal(first, held_out[:3])
    assert torch.equal(chosen, held_out[[5, 2]])
    assert (own is None) if method.num_classes == 0 else torch.equal(own, labels[:3])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"images are numbers from 0 to 358, of the test split of digits.*got \[359\]"):
        opened(method, images=[359])


def test_files_of_another_size_are_refused_or_fitted(method: Draws, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos")
    with pytest.raises(
        ValueError, match=r"is in colour, 12 x 20 pixels, and this model draws images grey, 8 x 8 pixels"
    ):
        opened(method, images=str(folder))
    images, labels = opened(method, images=str(folder), fit=True)
    assert images.shape == (2, 1, 8, 8)
    assert labels is None, "another set's classes are not ours"
    grey, _ = opened(method, images=str(write_photos(tmp_path / "grey", size=(8, 8), mode="L")))
    expected = np.array(Image.open(tmp_path / "grey" / "1.png"))
    assert np.array_equal(to_uint8(grey)[1, 0].numpy(), expected), "of the right size they stay as they are"
    with pytest.raises(ValueError, match="there is no folder or file nowhere of images"):
        opened(method, images="nowhere")


def test_labels_are_checked(method: Draws) -> None:
    if method.num_classes == 0:
        with pytest.raises(ValueError, match="this model is unconditional: leave out classes"):
            opened(method, classes=[1])
        return
    assert opened(method, classes=4)[1].tolist() == [4, 4, 4]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="one class for all images or one for each of the 3, got 2"):
        opened(method, classes=[1, 2])
    with pytest.raises(ValueError, match="class 10 is out of range"):
        opened(method, classes=10)
