"""Windows of boards whose defects are known: where they lie, which are chosen, where no defect is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.deeppcb import DeepPCB
from datamodules.defect_patches import boxed_set, known
from datamodules.patches.windows import BoxedSet, changed, cut, joined
from datamodules.synthesis.reading import choose, read_examples
from tests.support.defects import KINDS, MARGIN, SIDE


@pytest.fixture(scope="module")
def boards(boards_folder: Path) -> BoxedSet:
    return boxed_set(DeepPCB(data_dir=str(boards_folder), resolution=SIDE, batch_size=1, seed=0), "train")


def test_a_window_is_the_pixels_around_its_middle() -> None:
    picture = torch.arange(80).view(1, 8, 10)
    assert torch.equal(cut(picture, (4, 5), 4), picture[:, 2:6, 3:7])
    corner = cut(picture, (0, 0), 4)
    assert corner[0, :, 2].tolist() == [0, 0, 0, 10], "rows above the border are its rim again"
    assert corner[0, 2].tolist() == [0, 0, 0, 1]


def test_defects_stand_in_the_middle(boards: BoxedSet) -> None:
    windows = boards.around(boards.places(), 48, real=True)
    assert len(windows) == 8 * len(KINDS)
    middles = (windows.boxes[:, :2] + windows.boxes[:, 2:]) / 2
    assert (middles - 24).abs().max() <= 0.5
    assert torch.equal(windows.labels.bincount(), torch.full((len(KINDS),), 8))
    shapes = changed(windows)
    for mask, edges in zip(shapes, windows.boxes, strict=True):
        rows, columns = mask.nonzero(as_tuple=True)
        found = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        inner = edges + MARGIN * torch.tensor([1, 1, -1, -1])
        assert (found - inner).abs().max() <= 2, "within the box the defect alone differs from the twin"


def test_fewer_known_defects_are_among_more_and_the_synthesiser_learns_from_the_same(
    boards: BoxedSet, boards_folder: Path
) -> None:
    sides = {count: known(boards, KINDS, 48, num_real=count, seed=3) for count in (2, 5)}
    for label in range(len(KINDS)):
        few, many = (windows.origins[windows.labels == label].tolist() for windows in sides.values())
        assert few == many[:2]
        assert len(set(many)) == 5, "one an image while there are images"
    examples = read_examples(boards_folder)
    names = sorted({example.image.name for example in examples.all})
    for label, chosen in enumerate(choose(examples, num_real=5, seed=3).values()):
        theirs = [names.index(example.image.name) for example in chosen]
        assert theirs == sides[5].origins[sides[5].labels == label].tolist()
    other = known(boards, KINDS, 48, num_real=5, seed=4)
    assert not torch.equal(other.origins, sides[5].origins)


def test_the_first_known_defects_are_of_different_images() -> None:
    """Three images with three defects of a class each: the first three are one of each, and so are the next."""
    boxes = torch.tensor([[4.0 * k, 4.0, 4.0 * k + 3, 7.0] for k in range(3)]).expand(3, 3, 4)
    images = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    for seed in range(5):
        places = BoxedSet(images, boxes, torch.zeros(3, 3, dtype=torch.int64), 1).of_class(0, seed=seed, name="dent")
        assert len({tuple(place) for place in places.tolist()}) == 9
        assert [sorted(places[first : first + 3, 0].tolist()) for first in (0, 3, 6)] == [[0, 1, 2]] * 3


def test_faultless_windows_hold_no_defect(boards: BoxedSet) -> None:
    reach = 12
    found = boards.faultless(60, 32, reach=reach, seed=0, twins=True)
    assert (found.labels == len(KINDS)).all()
    assert found.twins is not None
    inner = slice(16 - reach, 16 + reach)
    different = [
        not torch.equal(image[:, inner, inner], twin[:, inner, inner])
        for image, twin in zip(found.images, found.twins, strict=True)
    ]
    assert np.mean(different) < 0.1, "JPEG ripples beside a defect at most"
    assert torch.equal(found.images[1::2], found.twins[1::2]), "every other one is of the twin"
    with pytest.raises(ValueError, match="no part without a defect: add faultless images"):
        boards.faultless(1, 32, reach=90, seed=0, twins=False)


def test_windows_of_sets_with_and_without_twins_join_to_some_without(boards: BoxedSet) -> None:
    windows = boards.around(boards.places()[:4], 32, real=True)
    bare = BoxedSet(boards.images, boards.boxes, boards.box_labels, boards.num_classes)
    both = joined([windows, bare.around(bare.places()[:4], 32, real=False)])
    assert both.twins is None
    assert both.real.tolist() == [1] * 4 + [0] * 4
