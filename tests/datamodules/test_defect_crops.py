"""Crops around defects: what they show, that boxes stay on their defects, which images are known, and what is refused."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from datamodules.base import ImageDataModule
from datamodules.defect_crops import DefectCrops, known_images
from datamodules.digits import Digits
from datamodules.patches.crops import is_made, turned, visible
from datamodules.patches.windows import BoxedSet

SIDE, SIZE = 96, 32
NAMES = ("dark", "grey", "light")
LEVELS = (80, 150, 220)  # of the classes; the board is 0
COUNT = 12


def drawn_board(number: int, side: int = SIDE) -> tuple[Tensor, list[list[float]], list[int]]:
    """A board [1, side, side] with one to three filled boxes, each in a part of its own, whose grey says their class."""
    random = np.random.default_rng(number)
    pixels, boxes, labels = torch.zeros(1, side, side, dtype=torch.uint8), [], []
    for place in range(1 + number % 3):
        width, height = random.integers(8, 15, 2).tolist()
        left, top = (int(random.integers(0, side - 16)), place * (side // 3) + int(random.integers(0, side // 3 - 15)))
        label = (number + place) % 3
        pixels[:, top : top + height, left : left + width] = LEVELS[label]
        boxes.append([left, top, left + width, top + height])
        labels.append(label)
    return pixels, boxes, labels


class Boards(ImageDataModule):
    image_shape = (1, SIDE, SIDE)
    num_classes = 0
    target_classes = NAMES

    def boards(self, split: str) -> list[tuple[Tensor, list[list[float]], list[int]]]:
        first, count = (0, COUNT) if split == "train" else (COUNT, 5)
        return [drawn_board(number) for number in range(first, first + count)]

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        images = torch.stack([pixels for pixels, _, _ in self.boards(split)])
        return images, torch.zeros(len(images), dtype=torch.int64)

    def targets(self, split: str) -> dict[str, Tensor]:
        made = self.boards(split)
        boxes, labels = torch.zeros(len(made), 3, 4), torch.full((len(made), 3), -1)
        for row, (_, edges, names) in enumerate(made):
            boxes[row, : len(edges)], labels[row, : len(names)] = torch.tensor(edges).view(-1, 4), torch.tensor(names)
        return {"boxes": boxes, "box_label": labels}


class NoBoxes(Boards):
    def boards(self, split: str) -> list[tuple[Tensor, list[list[float]], list[int]]]:
        return [(pixels, [], []) for pixels, _, _ in super().boards(split)]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine smaller pictures in COCO's format."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "train").mkdir()
    images, annotations = [], []
    for number in range(9):
        pixels, boxes, labels = drawn_board(100 + number, side=48)
        Image.fromarray(pixels[0].numpy()).save(folder / "train" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 48, "height": 48})
        for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
            row = {"bbox": [left, top, right - left, bottom - top], "category_id": label + 1, "image_id": number}
            annotations.append(row | {"id": len(annotations)})
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(NAMES)]
    (folder / "train.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return folder


def crops(source: Any = Boards, **given: Any) -> DefectCrops:
    settings = {"size": SIZE, "scale": [0.5, 2.0], "batch_size": 24, "seed": 0}
    return DefectCrops(**({"source": partial(source), **settings} | given))


def batches(data: DefectCrops, count: int = 4, *, seen: int = 0) -> list[dict[str, Tensor]]:
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=0, world_size=1, lightning_module=SimpleNamespace(images_seen=seen)
    )
    return list(itertools.islice(iter(data.train_dataloader()), count))


def levels_within(image: Tensor, box: Tensor) -> Tensor:
    """The grey levels in the middle of a box, off its rim, where scaling mixes them with the board's."""
    left, top, right, bottom = box.tolist()
    inside = image[0, int(np.ceil(top + 1.5)) : int(bottom - 1.5), int(np.ceil(left + 1.5)) : int(right - 1.5)]
    return ((inside + 1) * 127.5).flatten()


@pytest.mark.parametrize("turning", [False, True])
def test_boxes_stay_on_their_defects(turning: bool, synthetic: Path) -> None:
    """Scaled, cut, turned and mirrored: within each box its class's grey, and no such grey outside of all boxes."""
    num_looked_at, num_hidden = 0, 0
    for batch in batches(crops(turned=turning, synthetic=str(synthetic))):
        for image, boxes, labels in zip(batch["image"], batch["boxes"], batch["box_label"], strict=True):
            rest = image[0].clone()
            for box, label in zip(boxes, labels.tolist(), strict=True):
                if label < 0:
                    assert not box.any()
                    continue
                levels = levels_within(image, box)
                if len(levels):
                    num_looked_at += 1
                    torch.testing.assert_close(levels, torch.full_like(levels, LEVELS[label]), rtol=0, atol=3)
                left, top, right, bottom = box.tolist()
                rest[max(0, int(top) - 1) : int(bottom) + 3, max(0, int(left) - 1) : int(right) + 3] = -1
            hidden = int((rest > -0.9).sum())
            num_hidden += hidden > 0
            assert hidden < 0.6 * 28 * 28, "more than half of a defect is visible, and has no box"
    assert num_looked_at > 60
    assert num_hidden < 30  # cut at the rim by half or more


def test_each_class_is_shown_as_often_and_scales_are_between_their_bounds() -> None:
    data = crops(turned=False)
    sides = []
    for batch in batches(data, 10):
        for k, (boxes, labels, row) in enumerate(zip(batch["boxes"], batch["box_label"], batch["index"], strict=True)):
            assert k % 3 in labels, "crop number k is around a defect of class k modulo the number of classes"
            own = data.training.boxes[row]
            kept = (boxes > 0).all(dim=1) & (boxes < SIZE).all(dim=1)  # not cut
            widths = (boxes[:, 2] - boxes[:, 0])[kept] / (own[:, 2] - own[:, 0])[kept]
            sides += widths.tolist()
    assert 0.49 < min(sides) < 0.7
    assert 1.6 < max(sides) < 2.01


def test_a_share_of_the_crops_is_from_anywhere() -> None:
    """As often as asked, of every part of a picture, by numbers of their own: the others stay as they were."""
    before, after = batches(crops(turned=False), 20), batches(crops(turned=False, anywhere_share=0.25), 20)
    moved, without = [], 0
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one["index"], other["index"])
        moved += [not torch.equal(a, b) for a, b in zip(one["image"], other["image"], strict=True)]
        without += int((other["box_label"] < 0).all(dim=1).sum())
        assert all((labels >= 0).any() for labels in one["box_label"])
    # Of 480 crops a quarter, to four standard deviations.
    assert len(moved) == 480
    assert 82 < sum(moved) < 158
    assert without > 20
    with pytest.raises(ValueError, match="anywhere_share must be at least 0 and below 1"):
        crops(anywhere_share=1.0)


def test_a_scale_of_one_copies_pixels() -> None:
    data = crops(scale=[1.0, 1.0], turned=False)
    batch = batches(data, 1)[0]
    picture = data.training.images[batch["index"][:1]][0] / 127.5 - 1
    windows = picture.unfold(1, SIZE, 1).unfold(2, SIZE, 1).flatten(1, 2)[0]
    assert (windows == batch["image"][0, 0]).all(dim=(1, 2)).any()


def test_made_pictures_have_their_share_and_lie_within_their_own_border(synthetic: Path) -> None:
    """Of each class, in any stretch of the run; pictures of 48 pixels stand on a canvas of 96, of which no crop shows a pixel."""
    data = crops(synthetic=str(synthetic), synthetic_share=0.25)
    shown = batches(data, 10)
    real = torch.cat([batch["real"] for batch in shown])
    assert float((real == 0).float().mean()) == 0.25
    assert data.training.real.tolist() == [1] * COUNT + [0] * 9
    assert data.training.images.extents[-1].tolist() == [48, 48]
    canvas = data.training.images
    assert torch.equal(canvas[:][COUNT, :, :48, :48], canvas[torch.tensor([COUNT])][0, :, :48, :48])
    marked = crops(synthetic=str(synthetic), synthetic_share=1.0)
    marked.training.images.parts = [(MarkedRows(rows), taken) for rows, taken in marked.training.images.parts]
    assert all((batch["image"] >= 1 - 1e-6).all() for batch in batches(marked, 5))
    assert is_made(np.arange(12), 3, 0.5).tolist() == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3


class MarkedRows:
    """All of a picture white, so that what is beside it, which is black, is seen."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __getitem__(self, chosen: Tensor) -> Tensor:
        return torch.full_like(self.rows[chosen], 255)


def test_crops_are_functions_of_seed_and_number() -> None:
    whole, resumed, other = batches(crops()), batches(crops(), 2, seen=48), batches(crops(seed=1))
    for name in ("image", "boxes", "box_label", "index"):
        assert all(torch.equal(one[name], same[name]) for one, same in zip(whole[2:], resumed, strict=True))
        assert not torch.equal(whole[0][name], other[0][name])


def test_fewer_known_defects_are_among_more() -> None:
    """The images that hold a chosen one, with all their boxes; whatever the seed of the run."""
    few, more = (set(crops(num_real=n).training.images.parts[0][1].tolist()) for n in (1, 3))
    assert few < more < set(range(COUNT))
    same, other = (
        set(crops(num_real=1, seed=5, subset_seed=seed).training.images.parts[0][1].tolist()) for seed in (0, 4)
    )
    assert same == few != other
    found = crops(num_real=1).training
    for row, number in enumerate(sorted(few)):
        assert found.boxes[row][found.labels[row] >= 0].tolist() == drawn_board(number)[1]
    assert all((found.labels == label).any() for label in range(3))


def test_the_test_shows_whole_images_with_all_boxes() -> None:
    data = crops()
    assert data.test_size == (SIDE, SIDE)
    assert data.image_shape == (1, SIZE, SIZE)
    assert torch.equal(data.split("test")[0], torch.stack([drawn_board(COUNT + i)[0] for i in range(5)]))
    assert int((data.targets("test")["box_label"][:] >= 0).sum()) == sum(1 + (COUNT + i) % 3 for i in range(5))  # type: ignore[index]


def test_half_of_a_box_is_not_enough() -> None:
    boxes = torch.tensor([[-4.0, 0, 4, 8], [-3.9, 0, 4.1, 8], [0, 0, 8, 8], [40, 0, 48, 8], [0, 0, 0, 0]])
    assert visible(boxes, 32).tolist() == [False, True, True, False, False]


@pytest.mark.parametrize(("turns", "mirror"), itertools.product(range(4), [False, True]))
def test_turned_boxes_bound_what_was_turned(turns: int, mirror: bool) -> None:
    crop = torch.zeros(1, 16, 16)
    crop[:, 2:5, 7:15] = 1
    shown, boxes = turned(crop, torch.tensor([[7.0, 2, 15, 5]]), turns=turns, mirror=mirror)
    rows, columns = shown[0].nonzero().T
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert boxes[0].tolist() == [float(edge) for edge in expected]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 12}, "datamodule.size must be a multiple of 8, got 12"),
        ({"size": 104}, "datamodule.size=104 is larger than the images of boards, 96 x 96 pixels: give a smaller one"),
        ({"num_real": 0}, "datamodule.num_real must be at least 1, got 0"),
        ({"subset_seed": -1}, "datamodule.subset_seed must be at least 0, got -1"),
        ({"synthetic_share": 0.0}, "datamodule.synthetic_share must be above 0 and at most 1, got 0.0"),
        ({"scale": [2.0, 0.5]}, r"datamodule.scale must be the smallest and the largest, .* got \[2.0, 0.5\]"),
        ({"source": partial(Digits)}, "digits has no boxes: give a source with some, such as deeppcb"),
    ],
)
def test_settings_that_make_no_crops_name_themselves(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        crops(**settings)


def test_what_is_missing_names_itself(synthetic: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training image has a box: label some"):
        crops(NoBoxes).split("train")
    with pytest.raises(
        ValueError, match=r"num_real=99 is more than the \d+ training defects of 'dark': give num_real="
    ):
        crops(num_real=99).split("train")
    boxed = BoxedSet(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.int64), 2)
    with pytest.raises(ValueError, match="the class 'grey' has no training example: label one"):
        known_images(boxed, ("dark", "grey"), num_real=None, seed=0)
    with pytest.raises(ValueError, match="has no pictures: draw some by"):
        crops(synthetic=str(tmp_path)).split("train")
    without = json.loads((synthetic / "train.json").read_text())
    without["annotations"] = [row for row in without["annotations"] if row["category_id"] != 2]
    (tmp_path / "train").mkdir()
    for file in (synthetic / "train").iterdir():
        (tmp_path / "train" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "train.json").write_text(json.dumps(without))
    with pytest.raises(ValueError, match="the class 'grey' has no drawn example: draw some"):
        crops(synthetic=str(tmp_path), synthetic_share=1.0).order()


def test_a_class_that_was_not_drawn_is_shown_by_real_ones(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = json.loads((synthetic / "train.json").read_text())
    facts["annotations"] = [row for row in facts["annotations"] if row["category_id"] != 2]
    (tmp_path / "train").symlink_to(synthetic / "train")
    (tmp_path / "train.json").write_text(json.dumps(facts))
    data = crops(synthetic=str(tmp_path))
    numbers = np.arange(60)
    shown = torch.from_numpy(data.order()(numbers))
    real = data.training.real[shown].numpy().astype(bool)
    assert real[numbers % 3 == 1].all()
    assert real[numbers % 3 != 1].mean() == 0.5
    assert "the class 'grey' has no drawn example: real ones are shown in their place" in capsys.readouterr().err
