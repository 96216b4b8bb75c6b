"""A recipe says what each class is, survives its file, and is learned from the chosen defects alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from datamodules.synthesis.checking import check_boxes
from datamodules.synthesis.fitting import Fit, Sample, fit, spanning
from datamodules.synthesis.reading import Example, choose, read_examples
from datamodules.synthesis.recipe import Recipe, read_recipe
from datamodules.synthesis.sheets import fit_sheet
from tests.support.defects import KINDS, MARGIN, write_parts


def fitted(folder: Path, *, num_real: int, **families: str) -> Fit:
    examples = read_examples(folder)
    return fit(examples, choose(examples, num_real=num_real, seed=0), num_real=num_real, seed=0, families=families)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    write_parts(folder, count=4, twins=True)
    return folder


def test_the_kinds_of_a_board_are_learned(boards_folder: Path) -> None:
    recipe = fitted(boards_folder, num_real=4).recipe
    assert recipe.levels is not None
    found = {name: (learned.family, learned.adds) for name, learned in recipe.classes.items()}
    families, levels = (
        ("bridge", "bridge", "bump", "bump", "island", "island"),
        ("bright", "dark") * 2 + ("dark", "bright"),
    )
    assert found == dict(zip(KINDS, zip(families, levels, strict=True), strict=True))
    assert recipe.boxes.margins == pytest.approx((MARGIN,) * 4, abs=1)
    assert np.median([row["reach"] for row in recipe.classes["short"].examples]) == pytest.approx(14, abs=1)


def test_fibres_become_curves_and_blots_polygons(parts: Path, tmp_path: Path) -> None:
    found = fitted(parts, num_real=3)
    assert {name: learned.family for name, learned in found.recipe.classes.items()} == {
        "fibre": "curve",
        "excess epoxy": "polygon",
    }
    fibre = found.recipe.classes["fibre"].examples[0]
    assert np.median(fibre["widths"]) == pytest.approx(4.5, abs=1)
    assert np.mean(fibre["material"]["colour"]) < 0.2
    assert sorted(found.cutouts) == ["excess_epoxy_00.png", "excess_epoxy_01.png", "excess_epoxy_02.png"]
    assert fit_sheet(found).width > 300
    forced = fitted(parts, num_real=3, fibre="polygon")
    assert forced.recipe.classes["fibre"].family == "polygon"
    found.recipe.write(tmp_path / "r.yaml")
    read = read_recipe(tmp_path / "r.yaml")
    assert read.boxes == found.recipe.boxes
    assert np.asarray(read.classes["fibre"].examples[0]["points"]) == pytest.approx(fibre["points"], abs=1e-3)


def test_the_recipe_is_a_function_of_the_chosen_defects(boards_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(boards_folder, other)
    examples = read_examples(other)
    chosen = {example.image for rows in choose(examples, num_real=1, seed=0).values() for example in rows}
    spared = [image for image in (other / "group00001" / "00001").glob("*_test.jpg") if image not in chosen]
    assert spared
    for image in spared:
        image.write_bytes(b"no image")  # not one is opened
    first, second = (fitted(folder, num_real=1).recipe for folder in (boards_folder, other))
    assert first.classes == second.classes
    assert first.levels == second.levels


def test_boxes_of_other_defects_agree_with_the_convention(boards_folder: Path) -> None:
    recipe: Recipe = fitted(boards_folder, num_real=2).recipe
    pairs = [pair for rows in check_boxes(recipe, read_examples(boards_folder), most=24).values() for pair in rows]
    ours, tight = np.mean(pairs, axis=0)
    assert ours > 0.9
    assert tight < 0.5


def test_fewer_are_among_more_and_of_different_images(boards_folder: Path) -> None:
    examples = read_examples(boards_folder)
    few, many = (choose(examples, num_real=count, seed=3) for count in (2, 5))
    for name in KINDS:
        assert few[name] == many[name][:2]
        assert len({example.image for example in many[name]}) == 5
    assert choose(examples, num_real=5, seed=4) != many


def test_what_is_too_small_for_its_box_is_no_defect() -> None:
    """Boxes have margins of all widths; the one that another thing was found in stands out among its class."""

    def found(length: int, side: int, *, twin: Path | None = None) -> Sample:
        mask = np.zeros((60, 60), dtype=bool)
        mask[20 : 20 + length, 20:24] = True
        example = Example("scratch", Path("a.png"), (10.0, 10.0, 20.0, 10.0 + side), Path("train.json"), twin=twin)
        return Sample(example, mask, mask, mask, (0, 0), mask.shape)

    tight, wide = [[found(length, side) for length in (30, 32, 28, 8)] for side in (32, 90)]
    assert spanning(tight) == tight[:3]
    assert spanning(wide) == wide[:3]
    sure = [*tight[:3], found(8, 32, twin=Path("b.png"))]
    assert spanning(sure) == sure
