"""What is wrong with a set is said in one sentence; masks are read in COCO's three forms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from datamodules.synthesis.fitting import fit
from datamodules.synthesis.reading import choose, clean_images, pixels_of, read_examples
from tests.support.defects import SIDE, fibre_mask, write_parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts") / "set"
    write_parts(folder, count=2, twins=True)
    return folder


def changed(parts: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the set with another file of boxes."""
    folder = tmp_path / "set"
    shutil.copytree(parts, folder)
    facts = json.loads((folder / "train.json").read_text())
    change(facts)
    (folder / "train.json").write_text(json.dumps(facts))
    return folder


def test_masks_in_all_forms(parts: Path) -> None:
    mask = fibre_mask(0)
    runs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    column = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(column.astype(int))) + 1
    counts = np.diff(np.concatenate([[0], changes, [len(column)]])).tolist()
    example = next(example for example in read_examples(parts).all if example.image.name == "000.png")
    polygon = example.mask((SIDE, SIDE))
    assert polygon is not None
    assert (polygon & mask).sum() / (polygon | mask).sum() > 0.6  # COCO's polygons lose half a pixel
    for form in ({"size": [SIDE, SIDE], "counts": runs["counts"].decode()}, {"size": [SIDE, SIDE], "counts": counts}):
        found = type(example)(example.name, example.image, example.box, example.source, form).mask((SIDE, SIDE))
        assert np.array_equal(found, mask)
    assert example.twin == parts / "clean" / "000.png"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(annotations=[]), "has no box or mask of a defect"),
        (
            lambda facts: facts["annotations"][0].update(bbox=[150, 20, 90, 30]),
            r"has a box from \(150, 20\) to \(240, 50\)",
        ),
        (
            lambda facts: facts["annotations"][0].update(segmentation={"size": [SIDE, SIDE], "counts": [SIDE * SIDE]}),
            "has an empty mask of 'fibre'",
        ),
        (
            lambda facts: facts["annotations"][0].update(segmentation={"size": [9, 9], "counts": [70, 11]}),
            "has a mask of 9 x 9 pixels",
        ),
        (lambda facts: facts["annotations"][0].update(segmentation=[[1, 2]]), "neither polygons nor run lengths"),
        (lambda facts: facts.pop("categories"), "not in COCO's format"),
    ],
)
def test_bad_sets_are_one_sentence(
    parts: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    folder = changed(parts, tmp_path, change)

    def read_and_fit() -> None:
        examples = read_examples(folder)
        fit(examples, choose(examples, num_real=2, seed=0), num_real=2, seed=0, families={})

    with pytest.raises(ValueError, match=message):
        read_and_fit()


def test_too_many_and_none(parts: Path, tmp_path: Path) -> None:
    examples = read_examples(parts)
    with pytest.raises(ValueError, match=r"--num-real 9 is more than the 2 training defects of 'excess epoxy'"):
        choose(examples, num_real=9, seed=0)
    assert len(choose(examples, num_real=9, seed=0, fewer=True)["fibre"]) == 2
    with pytest.raises(ValueError, match="at least 1"):
        choose(examples, num_real=0, seed=0)
    with pytest.raises(ValueError, match="is no folder"):
        read_examples(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no boxes of defects are in"):
        read_examples(tmp_path)
    with pytest.raises(ValueError, match="has no images"):
        clean_images(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        clean_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="--family names 'dent'"):
        fit(examples, choose(examples, num_real=1, seed=0), num_real=1, seed=0, families={"dent": "curve"})


def test_deep_and_coloured_pictures_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png .*not 8 bits"):
        pixels_of(tmp_path / "deep.png")
    colour = np.zeros((8, 8, 3), dtype=np.uint8)
    colour[..., 0] = 200
    Image.fromarray(colour).save(tmp_path / "red.png")
    with pytest.raises(ValueError, match="in colour among grey pictures"):
        pixels_of(tmp_path / "red.png", channels=1)
    Image.fromarray(np.full((8, 8, 3), 77, dtype=np.uint8)).save(tmp_path / "grey.png")
    assert pixels_of(tmp_path / "grey.png", channels=1).shape == (8, 8)
    assert pixels_of(tmp_path / "grey.png").shape == (8, 8, 3)


def test_twins_of_test_images_are_no_ground(parts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(parts, folder)
    shutil.copyfile(folder / "test" / "t0.png", folder / "clean" / "t0.png")
    assert [path.name for path in clean_images(folder / "clean")] == ["000.png", "001.png", "002.png", "003.png"]
