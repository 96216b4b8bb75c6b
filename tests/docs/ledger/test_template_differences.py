"""The command that measures template differences: what it chooses, counts, writes and says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from docs.ledger import template_differences
from docs.ledger.results import read_results
from docs.ledger.template_differences import FILE, Findings, choose, f_score, main, rates, read_pairs, section
from generative.rendering.template_difference import DifferenceSetting, FoundBoxes

MARGIN = 4  # of the planted boxes
SMALL = {"levels": (300, 64), "deviations": (8,), "least_area": (8, 400)}


def planted(place: int, *, colour: bool = False) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """A pair of 64 x 64 pixels with a square of 8 that is inverted, and the box around it."""
    template = np.full((64, 64), 230, dtype=np.uint8)
    template[:, 40:] = 20
    top, left = 10 + 3 * place, 8 + 5 * place
    image = template.copy()
    image[top : top + 8, left : left + 8] = 255 - image[top : top + 8, left : left + 8]
    box = [left - MARGIN, top - MARGIN, left + 8 + MARGIN, top + 8 + MARGIN]
    if colour:
        image, template = (np.repeat(one[..., None], 3, axis=2) for one in (image, template))
    return image, template, box


def write_boards(folder: Path) -> Path:
    """Two kinds of boards, one of which is tested alone, in the layout of DeepPCB; one box on each and another on nothing."""
    for listed, group, count in (("trainval.txt", "1", 4), ("test.txt", "1", 2), ("test.txt", "2", 2)):
        images, boxes = (folder / f"group{group}" / name for name in (group, "boxes"))
        for made in (images, boxes):
            made.mkdir(parents=True, exist_ok=True)
        for place in range(count):
            name = f"{listed[:4]}{place}"
            image, template, (left, top, right, bottom) = planted(place)
            for suffix, pixels in (("test", image), ("temp", template)):
                Image.fromarray(pixels).save(images / f"{name}_{suffix}.jpg", quality=100)
            lines = [f"{left} {top} {right} {bottom} {place % 2 + 1}"]
            lines += ["50 50 60 60 6"] if (group, place) == ("2", 1) else []  # nothing is there: a miss
            (boxes / f"{name}.txt").write_text("\n".join(lines))
            with (folder / listed).open("a") as file:
                file.write(f"group{group}/{group}/{name}.jpg group{group}/boxes/{name}.txt\n")
    return folder


def write_coco(folder: Path, *, clean: bool = True) -> Path:
    for split, count in (("train", 4), ("test", 3)):
        facts: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
        for place in range(count):
            image, template, (left, top, right, bottom) = planted(place, colour=True)
            if split == "test" and place == 2:
                image = template  # a faultless image, without a box
            for pixels, place_of in ((image, folder / split), (template, folder / "clean" / split)):
                if clean or pixels is image:
                    place_of.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(place_of / f"{place}.png")
            facts["images"].append({"id": place, "file_name": f"{place}.png", "width": 64, "height": 64})
            if image is not template:
                box = {
                    "bbox": [left, top, right - left, bottom - top],
                    "id": place,
                    "image_id": place,
                    "category_id": 1,
                }
                facts["annotations"].append(box)
        (folder / f"{split}.json").write_text(json.dumps(facts))
    return folder


def test_boards_are_measured_with_a_setting_that_training_boards_chose(
    write_results: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_differences, "GRID", SMALL)
    data = write_boards(tmp_path / "boards")
    assert section() == []
    for _ in range(2):  # the second time in place of the first
        main(["--data", str(data), "--picture", str(tmp_path / "found.png")])
    main(["--data", str(write_coco(tmp_path / "folder")), "--name", "squares"])
    boards, squares = read_results(FILE)
    assert (boards["set"], boards["images"], boards["boxes"], boards["chosen_on"], boards["f2"]) == (
        "boards",
        4,
        5,
        4,
        1.0,
    )
    assert boards["setting"]["margin"] == MARGIN
    assert (boards["setting"]["levels"], boards["setting"]["least_area"]) == (64, 8)
    assert (boards["recall"][0], boards["precision"][0], boards["false_calls"]) == (0.8, 1.0, [0.0, 0.0, 0.0])
    assert boards["by_class"] == {"open": [1.0, 2], "short": [1.0, 2], "pin-hole": [0.0, 1]}
    assert (boards["seen"]["recall"][0], boards["unseen"]["recall"][0], boards["unseen"]["boxes"]) == (1.0, 0.6667, 3)
    assert boards["recall"][1] < 0.8 < boards["recall"][2] == 1.0
    assert (squares["set"], squares["images"], squares["boxes"], squares["recall"]) == (
        "squares",
        3,
        2,
        [1.0, 1.0, 1.0],
    )
    assert "seen" not in squares
    text = "\n".join(section())
    assert (
        "| boards, kinds unseen | 2 | 3 | 0.667 (0.500 to 1.000) | 1.000 (1.000 to 1.000) | 0.000 (0.000 to 0.000) |"
        in text
    )
    assert "**squares.** Recall by class: square 1.00 of 2." in text
    assert max(len(line) for line in section() if not line.startswith("|")) <= 120
    pixels = np.asarray(Image.open(tmp_path / "found.png").convert("RGB")).reshape(-1, 3)
    colours = set(map(tuple, np.unique(pixels, axis=0).tolist()))
    assert {template_differences.HIT, template_differences.MISS} <= colours


def test_the_choice_is_the_best_of_the_grid_and_keeps_the_first_of_equals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = read_pairs(write_boards(tmp_path)).train
    monkeypatch.setattr(template_differences, "GRID", {"least_area": (8, 30, 64, 65)})
    chosen, score = choose(pairs)
    assert (chosen.least_area, chosen.margin, score) == (8, MARGIN, 1.0)
    monkeypatch.setattr(template_differences, "GRID", {"least_area": (65,), "levels": (250,)})
    assert choose(pairs) == (DifferenceSetting(margin=MARGIN), 1.0)


def test_a_miss_weighs_as_much_as_four_false_calls() -> None:
    recall, precision = 6 / 8, 6 / 10
    assert f_score(6, 8, 10) == pytest.approx(5 * precision * recall / (4 * precision + recall))
    assert f_score(8, 9, 8) == pytest.approx(f_score(8, 8, 12))
    assert (f_score(0, 0, 0), f_score(0, 3, 0)) == (0.0, 0.0)


def test_rates_are_sums_over_images_and_images_are_drawn_for_their_intervals() -> None:
    counts = np.array([[2, 1, 2, 3], [4, 4, 4, 4], [0, 0, 0, 1]])
    found = rates(counts)
    assert (found["images"], found["boxes"]) == (3, 6)
    values = {name: found[name][0] for name in ("recall", "precision", "false_calls", "touched")}
    assert values == {"recall": 0.8333, "precision": 0.625, "false_calls": 1.0, "touched": 1.0}
    assert (found["recall"][1:], found["false_calls"][1:]) == ([0.5, 1.0], [0.0, 2.0])  # all of image 1, all of image 2
    many = rates(np.repeat(counts, 300, axis=0))
    middle, low, high = many["false_calls"]
    spread = np.std([2.0, 0.0, 1.0]) / 900**0.5
    assert (high - low) / (2 * 1.96 * spread) == pytest.approx(1, abs=0.1)
    assert low < middle < high


def test_what_is_touched_counts_beside_what_is_found(tmp_path: Path) -> None:
    one = read_pairs(write_boards(tmp_path)).test[0]
    left, top, right, bottom = one.boxes[0]
    near = np.array([[left, top, left + 3, bottom], [right + 9, top, right + 12, bottom]])
    tested = Findings([one], [FoundBoxes(near, np.array([1, 1]))], 0.0)
    assert tested.counts.tolist() == [[1, 0, 1, 2]]


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_coco(tmp_path / "folder", clean=False)
    for given, message in (
        (["--data", str(folder)], "lacks a faultless picture of each image"),
        (["--data", str(tmp_path / "none")], "is no folder"),
        (["--data", str(folder), "--choose-on", "0"], "--choose-on must be at least 1 image, got 0"),
    ):
        with pytest.raises(SystemExit):
            main(given)
        said = capsys.readouterr().err
        assert message in said
        assert "Traceback" not in said
