"""What the screening of drawn pictures leaves out: the ones whose background was changed, or whose defect is foreign."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from sklearn.metrics import roc_auc_score

from datamodules import synthesize
from docs.ledger import screening
from docs.ledger.screening_scores import Scores
from tests.support.defects import write_parts

COUNT = 20
SPOILED = (3, 8, 10, 17)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Real parts, and parts with drawn defects of which some have another background."""
    root = tmp_path_factory.mktemp("screening")
    data, drawn = root / "parts", root / "drawn"
    write_parts(data, twins=True)
    with pytest.MonkeyPatch.context() as patch:
        for words in (
            f"fit {data} --num-real 4 -o {root}/recipe.yaml",
            f"draw {root}/recipe.yaml --clean {data}/faultless --count {COUNT} --per-image 1 1 -o {drawn}",
        ):
            patch.setattr(sys, "argv", ["synthesize", *words.split()])
            synthesize.main()
    random = np.random.default_rng(0)
    for number in SPOILED:
        path = drawn / "train" / f"{number:06d}.png"
        pixels = np.asarray(Image.open(path)).astype(float)
        Image.fromarray(np.clip(pixels + random.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)).save(path)
    return data, drawn


def run(folders: tuple[Path, Path], output: Path, *more: str) -> None:
    data, drawn = folders
    screening.main([str(drawn), str(data), "--num-real", "4", "--size", "64", "-o", str(output), *more])


def test_changed_backgrounds_are_left_out(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run(folders, tmp_path / "kept", "--keep", "0.6")
    lines = [json.loads(line) for line in (tmp_path / "kept" / "scores.jsonl").read_text().splitlines()]
    spoiled = [number in SPOILED for number in range(COUNT)]
    assert [line["file_name"] for line in lines] == [f"{number:06d}.png" for number in range(COUNT)]
    assert roc_auc_score(spoiled, [line["distortion"] for line in lines]) == 1.0
    kept = [line["file_name"] for line in lines if line["kept"]]
    assert len(kept) == 12
    assert not {f"{number:06d}.png" for number in SPOILED} & set(kept)
    coco = COCO(tmp_path / "kept" / "train.json")
    assert sorted(image["file_name"] for image in coco.imgs.values()) == kept
    assert {row["image_id"] for row in coco.anns.values()} <= set(coco.imgs)
    for part in ("train", "clean"):
        assert sorted(path.name for path in (tmp_path / "kept" / part).iterdir()) == kept
    assert Image.open(tmp_path / "kept" / "worst.png").size[0] > 64


def test_a_picture_is_as_bad_as_its_worse_score() -> None:
    scores = Scores(np.array([0.0, 3.0, 1.0, 2.0]), np.array([1.0, 0.5, np.inf, 0.7]))
    assert scores.badness() == pytest.approx([2 / 3, 1.0, 1.0, 2 / 3])
    assert scores.kept(0.5).tolist() == [0, 3]
    assert scores.kept(1.0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keep", "0"], "--keep must be above 0 and at most 1, got 0"),
        (["-o", "{drawn}"], "is not empty: give another -o"),
    ],
)
def test_bad_input(
    folders: tuple[Path, Path], words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(drawn=folders[1]) for word in words]
    with pytest.raises(SystemExit) as ended:
        run(folders, tmp_path / "kept", *words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_pictures_without_twins_are_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, _ = folders
    with pytest.raises(SystemExit):
        screening.main([str(data), str(data), "--num-real", "2", "-o", str(tmp_path / "kept")])
    (tmp_path / "bare").mkdir()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        screening.main([str(tmp_path / "bare"), str(data), "--num-real", "2", "-o", str(tmp_path / "kept")])
    assert "has no pictures: draw some by" in capsys.readouterr().err
