"""The rendered inspection set on disk: counts, what an interruption leaves, and what others read of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from datamodules import rendered_inspection, rendered_set
from datamodules.inspection import Inspection
from datamodules.rendered_inspection import RenderedInspection, main, sheet
from datamodules.rendered_set import COUNTS
from generative.rendering.inspection.classes import CLASSES, CLEAN

SMALL: dict[str, Any] = {"resolution": 64, "share": 0.02, "clean_train": 100, "clean_test": 50}


def rendered(folder: Path, **settings: Any) -> RenderedInspection:
    return RenderedInspection(data_dir=str(folder), batch_size=4, seed=0, **{**SMALL, **settings})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of a few images, drawn once."""
    root = tmp_path_factory.mktemp("world")
    rendered(root).split("train")
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(one: dict[str, bytes], other: dict[str, bytes]) -> bool:
    """All files alike but for the seconds that the description states."""
    facts = [json.loads(files["world.json"]) | {"cpu_seconds": 0} for files in (one, other)]
    return one.keys() == other.keys() and facts[0] == facts[1] and all(
        one[name] == other[name] for name in one if name != "world.json"
    )  # fmt: skip


def test_counts_are_the_chapters(folder: Path) -> None:
    """Table 3.1: 395 and 129 images; a share of them keeps every class."""
    assert [sum(counts.values()) for counts in COUNTS.values()] == [395, 129]
    whole = rendered(folder, share=1.0, clean_train=200, clean_test=100).settings
    assert whole.counts("train") == {**COUNTS["train"], CLEAN: 200}
    assert len({(at.split, at.kind, at.number) for at in whole.addresses()}) == 395 + 129 + 300
    assert rendered(folder).settings.counts("test") == dict(zip([*CLASSES, CLEAN], [1] * 10, strict=True))
    lines = [json.loads(line) for line in (rendered(folder).data_dir / "parameters.jsonl").read_text().splitlines()]
    found = {
        kind: sum(line["kind"] == kind and line["split"] == "train" for line in lines) for kind in (*CLASSES, CLEAN)
    }
    assert found == rendered(folder).settings.counts("train")
    assert all((line["kind"] == CLEAN) == (not line["defects"]) for line in lines)


def test_batches_hold_masks_and_twins(folder: Path) -> None:
    data = rendered(folder)
    for split in ("train", "test"):
        images, _ = data.split(split)
        targets = data.targets(split)
        everything = torch.arange(len(images))
        masks, twins = targets["mask"][everything], targets["template"][everything]
        assert masks.shape == (len(images), 64, 64)
        assert masks.dtype == torch.uint8
        for mask, boxes, labels in zip(
            masks, targets["boxes"][everything], targets["box_label"][everything], strict=True
        ):
            assert set(mask.unique().tolist()) == {0, *(labels[labels >= 0] + 1).tolist()}
            inside = torch.zeros(64, 64, dtype=torch.bool)
            for left, top, right, bottom in boxes[labels >= 0].int().tolist():
                inside[top:bottom, left:right] = True
                assert mask[top, left:right].any()  # tight
                assert mask[top:bottom, right - 1].any()
            assert not mask[~inside].any()
        changed = (images[:].float() - twins.float()).abs().mean(dim=1)
        assert changed[masks > 0].mean() > 3 * changed[masks == 0].mean()


def test_any_reader_of_cocos_format_reads_it(folder: Path) -> None:
    data = rendered(folder)
    plain = Inspection(data_dir=str(data.data_dir), resolution=64, classes=list(CLASSES), batch_size=4, seed=0)
    for split in ("train", "test"):
        own, theirs = data.rows(split), plain.rows(split)
        assert own.keys() == theirs.keys() >= {"mask", "template", "boxes", "box_label"}
        rows = torch.arange(len(own["image"]))
        assert all(torch.equal(own[name][rows], theirs[name][rows]) for name in own)
    coco = COCO(str(data.data_dir / "train.json"))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    for row in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(row)
        rows_of_mask, columns = np.nonzero(mask)
        left, top, width, height = row["bbox"]
        assert (columns.min(), rows_of_mask.min()) == (left, top)
        assert (columns.max() + 1, rows_of_mask.max() + 1) == (left + width, top + height)
        assert mask.sum() == row["area"] >= 2
        changed = coco.annToMask({**row, "segmentation": row["changed"]})
        assert np.all(changed[mask > 0])
    assert {coco.loadImgs(k)[0]["file_name"] for k in coco.getImgIds()} == {
        path.name for path in (data.data_dir / "clean" / "train").iterdir()
    }


def test_an_interrupted_set_goes_on_and_ends_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two files, with half a line in the journal: no image of the first run is drawn again."""
    drawn: list[str] = []
    draw_image = rendered_set.draw_image

    def draw(target: Path, address: Any, settings: Any) -> dict[str, Any]:
        if len(drawn) == 5:
            raise KeyboardInterrupt
        drawn.append(rendered_set.file_of(address))
        return draw_image(target, address, settings)

    monkeypatch.setattr(rendered_set, "draw_image", draw)
    data = rendered(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        data.split("train")
    with (data.data_dir / rendered_set.JOURNAL).open("a") as journal:
        journal.write('{"file": "train/crack')
    assert not (data.data_dir / "train.json").exists(), "nothing looks finished"
    again: list[str] = []
    monkeypatch.setattr(rendered_set, "draw_image", lambda *given: (again.append(given[1]), draw_image(*given))[1])
    rendered(tmp_path).split("train")
    assert len(again) == len(data.settings.addresses()) - 5
    assert same(contents(rendered(folder).data_dir), contents(data.data_dir))
    rendered(tmp_path).split("test")
    assert len(again) == len(data.settings.addresses()) - 5, "it is drawn once"


def test_the_folder_is_named_by_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = [
        {}, {"resolution": 128}, {"world_seed": 1}, {"share": 0.03}, {"contrast": 0.5}, {"contrast": {"crack": 0.5}},
        {"misaligned": True}, {"clean_test": 51},
    ]  # fmt: skip
    names = [rendered(folder, **settings).data_dir.name for settings in asked]
    assert len(set(names)) == len(names)
    assert rendered(folder, contrast=0.5).data_dir == rendered(folder, contrast=dict.fromkeys(CLASSES, 0.5)).data_dir
    assert rendered(folder, resolution=128).data_dir == rendered(folder).at_resolution(128).data_dir
    monkeypatch.setattr(rendered_set, "VERSION", 99)
    assert rendered(folder).data_dir.name not in names


def test_a_share_holds_the_first_images_of_the_whole(folder: Path, tmp_path: Path) -> None:
    few = rendered(tmp_path, share=0.01, clean_train=1, clean_test=1)
    few.split("train")
    small, large = (data.data_dir / "train" for data in (few, rendered(folder)))
    names = {path.name for path in small.iterdir()}
    assert "foreign_material_0000.jpg" in names
    assert all((small / name).read_bytes() == (large / name).read_bytes() for name in names)


def test_more_test_images_than_published(folder: Path) -> None:
    """The defective test images alone, in a set with a name of its own."""
    few, many = (rendered(folder, **settings).settings for settings in ({}, {"test_share": 2.0}))
    assert many.counts("train") == few.counts("train")
    assert many.name != few.name
    assert many.counts("test") == {kind: 2 * count for kind, count in COUNTS["test"].items()} | {CLEAN: 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resolution": 32}, "datamodule.resolution must be between 64 and 2048, got 32"),
        ({"share": 0.0}, "datamodule.share must be above 0 and at most 1, got 0.0"),
        ({"test_share": -1.0}, "datamodule.test_share must be above 0, got -1.0"),
        ({"clean_train": -1}, "clean_train, clean_test and world_seed must be at least 0, got -1"),
        ({"contrast": 0.0}, "datamodule.contrast must be above 0, got 0.0 for foreign material"),
        ({"contrast": {"dent": 1.0}}, "datamodule.contrast has no class 'dent': choose of foreign material"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        rendered(tmp_path, **settings)


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ValueError, match=r'drawn with OpenCV .*pip install -e ".\[defects\]"'):
        rendered(tmp_path).split("train")


def test_the_sheet_has_a_row_for_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = sheet(examples=1, resolution=64, side=40)
    assert picture.height > 10 * 40
    arguments = ["x", "sheet", str(tmp_path / "a.png"), "--resolution", "16"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match="2"):
        main()


def test_a_set_of_some_classes_has_the_images_of_the_whole(folder: Path, tmp_path: Path) -> None:
    whole = rendered(folder)
    only = {"epoxy": ["excess epoxy", "epoxy on die"], "crack": ["crack"]}
    part = rendered(tmp_path, only=only)
    assert part.target_classes == ("epoxy", "crack")
    assert part.data_dir.name != whole.data_dir.name
    part.split("train")
    whole.split("train")
    for split in ("train", "test"):
        names = {path.name for path in (part.data_dir / split).iterdir()}
        kinds = {name.rpartition("_")[0] for name in names}
        assert kinds == {"excess_epoxy", "epoxy_on_die", "crack", "clean"}
        for name in names:
            assert (part.data_dir / split / name).read_bytes() == (whole.data_dir / split / name).read_bytes()
    labels = part.targets("train")["box_label"][torch.arange(len(part.split("train")[0]))]
    files = sorted(path.name for path in (part.data_dir / "train").iterdir())
    for name, row in zip(files, labels, strict=True):
        expected = {"clean": set(), "crack": {1}}.get(name.rpartition("_")[0], {0})
        assert set(row[row >= 0].tolist()) == expected


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ({"dent": ["dent"]}, "only has no class 'dent': choose of foreign material"),
        ({"a": ["crack"], "b": ["crack"]}, "only gives 'crack' two names: give it one"),
        ({"a": []}, "only says of no class that it is 'a': name some of"),
    ],
)
def test_classes_that_cannot_be_chosen(only: dict[str, list[str]], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        rendered(tmp_path, only=only)


def test_classes_of_the_command_line() -> None:
    words = ["foreign material", "epoxy=excess epoxy,epoxy on die"]
    assert rendered_inspection.named_classes(words) == {
        "foreign material": ["foreign material"],
        "epoxy": ["excess epoxy", "epoxy on die"],
    }
