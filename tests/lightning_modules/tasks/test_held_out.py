"""Which images a task looks at."""

from __future__ import annotations

import pytest
import torch

from generative.rendering.images import from_uint8
from lightning_modules.tasks.held_out import held_out, some_numbers
from tests.support.classifiers import data


def test_some_numbers() -> None:
    few = some_numbers(data(), 5, seed=3)
    assert torch.equal(few, some_numbers(data(), 9, seed=3)[:5]), "fewer images are the first of more"
    assert len(set(few.tolist())) == 5
    assert some_numbers(data(), None, seed=3).tolist() == list(range(12))
    with pytest.raises(ValueError, match="count must be between 1 and 12, the images of arrays's test split, got 13"):
        some_numbers(data(), 13, seed=0)


def test_images_between_minus_one_and_one() -> None:
    images, labels = held_out(data(), torch.tensor([7, 2]))
    stored, all_labels = data().split("test")
    torch.testing.assert_close(images, from_uint8(stored[[7, 2]]))
    assert labels.tolist() == all_labels[[7, 2]].tolist()
