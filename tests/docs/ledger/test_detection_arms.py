"""The table of detectors: its bookkeeping by planted runs, its page by hand, copies at drawn places, and how real a set looks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.defect_patches import boxed_set, drawn_sets
from datamodules.patches.augmentation import window_side
from docs.ledger import (
    detection_arms,
    detection_page,
    detection_pictures,
    gain_arms,
    learned_sets,
    realness,
    realness_page,
)
from docs.ledger.detection_page import difference_lines, page, soon, table
from docs.ledger.gain_answers import read_lines
from docs.ledger.gain_arms import Bench, Protocol, source_of
from docs.ledger.learned_sets import Copies, folder_of, source_settings
from docs.ledger.realness import Distances, alike, background, background_error, patches, told_apart
from tests.support.defects import KINDS, write_boards

SIZE = 32


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("boards")
    write_boards(folder / "set", count=6)
    protocol = Protocol(size=SIZE, steps=4, pictures=6)
    return Bench(folder / "set", folder / "set", source_of(folder / "set"), folder / "cache", protocol)


@pytest.fixture(scope="module")
def sets(bench: Bench) -> dict[str, Path]:
    """The folders of two arms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gain_arms, "PER_PICTURE", (4, 6))
        found = {arm: folder_of(bench, arm, 4, 0) for arm in ("rendered", "pasted")}
    assert folder_of(bench, "real", 4, 0) is None
    return {arm: folder for arm, folder in found.items() if folder is not None}


def test_copies_are_real_defects_at_drawn_places(bench: Bench, sets: dict[str, Path]) -> None:
    real = bench.real(4, 0)
    copies = Copies(real, bench.names, SIZE, seed=0)
    clean = np.full((3, SIZE, SIZE), 255, dtype=np.uint8)
    masks = np.zeros((3, SIZE, SIZE), dtype=bool)
    found = copies(clean, masks, ["copper", "copper", "pin-hole"], first=0)
    assert found.shape == clean.shape
    assert np.array_equal(found, copies(clean, masks, ["copper", "copper", "pin-hole"], first=0))
    dark = [(one < 128).sum() for one in found]
    assert 60 <= dark[0] <= 140, "an island of 9 x 11 pixels"
    assert 60 <= dark[1] <= 140
    drawn, pasted = (json.loads((sets[arm] / "train.json").read_text()) for arm in ("rendered", "pasted"))
    assert [row["file_name"] for row in drawn["images"]] == [row["file_name"] for row in pasted["images"]]
    assert 0 < len(pasted["annotations"]) <= len(drawn["annotations"])


def test_a_picture_shows_all_arms_at_the_same_places(bench: Bench, sets: dict[str, Path], tmp_path: Path) -> None:
    path = detection_pictures.show(bench, 4, 0, tmp_path / "x.png")
    picture = np.asarray(Image.open(path))
    assert len(sets) == 2
    assert picture.shape[1] >= 3 * detection_pictures.EACH * (SIZE + 2), "faultless, drawn and pasted"
    assert picture.shape[0] >= 6 * (SIZE + 2)


def test_a_set_of_other_pictures_is_told_apart(
    bench: Bench, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realness, "STEPS", 40)
    side = window_side(SIZE)
    boxed = boxed_set(bench.source, "train")
    real = boxed.around(boxed.places(), side, real=True)
    made = patches(bench, sets["rendered"])
    assert len(made) == len(json.loads((sets["rendered"] / "train.json").read_text())["annotations"])
    noisy = torch.from_numpy(np.random.default_rng(0).integers(0, 256, tuple(real.images.shape)).astype(np.uint8))
    foreign = gain_arms.Windows(noisy, real.labels, real.origins, real.boxes, torch.zeros_like(real.real))
    assert told_apart(real, foreign, bench, seed=0) > 0.95
    some = foreign.chosen((foreign.labels % 2 == 1).nonzero()[:, 0])
    of_real, renamed = alike(real, some)
    assert of_real.labels.unique().tolist() == renamed.labels.unique().tolist() == [0, 1, 2]
    assert len(of_real) == len(renamed)
    assert told_apart(of_real, renamed, bench, seed=0) > 0.95
    distances = Distances(SIZE)
    near, far = distances.of(*alike(real, made)), distances.of(real, foreign)
    assert 0 < near["fd"] < far["fd"]
    assert near["kid"] < far["kid"]
    assert set(distances.floor(real)) == {"fd", "kid"}


def test_the_background_is_what_lies_beside_the_defects(sets: dict[str, Path], bench: Bench) -> None:
    mask = torch.zeros(40, 50, dtype=torch.uint8)
    mask[18:22, 8:12] = 3
    shown = background(mask, [(20, 10)], 16)
    assert shown[12:28, 2:18].sum() == shown.sum() == 16 * 16 - 10 * 10, (
        "of the window all but the mask and three pixels around"
    )
    for _, boxed in drawn_sets(sets["rendered"], bench.source):
        squares, count = background_error(boxed, SIZE)
        assert count > 0
        assert squares / count < 20, "JPEG alone"


def cell(arm: str, number: int, seed: int, value: float, **more: Any) -> dict[str, Any]:
    scores = {"map": value, "map_50": 2 * value, "map_75": value / 2, detection_page.RECALL: value}
    return {
        "set": "x", "kimg": 2.0, "arm": arm, "num_real": number, "seed": seed, "made": {"a": 3, "b": 4}, "scores": scores,
        "validation": [[0.2, 0.1], [0.4, 0.39], [0.6, 0.4]], "seconds": 60.0,
        "environment": {"processor": "a processor", "threads": 1}, **more,
    }  # fmt: skip


def test_the_page_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [cell("real", 5, seed, 0.2) for seed in range(3)]
    lines += [cell("rendered", 5, seed, value) for seed, value in enumerate((0.3, 0.31, 0.32))]
    failed = cell("cycle", 5, 0, 0.0, failed="no 'a' was drawn that shows", made={"a": 0, "b": 1})
    del failed["scores"]
    lines.append(failed)
    lines += [cell("refined", 5, seed, 0.2, **more) for seed, more in enumerate(({}, {"same_pictures_as": "rendered"}))]
    shown = {row.split("|")[1].strip(): row for row in table(lines, "x").splitlines()[2:]}
    assert shown["real"].split("|")[4].strip() == "20.0"
    # Differences of 10, 11 and 12 hundredths: their mean 11, its half-width 4.303 / sqrt(3).
    assert shown["+ drawn, matched"].split("|")[4].strip() == "31.0 (+11.0: 8.5 to 13.5)"
    assert "+ Cycle GAN (1 of 1 seeds: no 'a' was drawn that shows)" in shown
    assert "+ drawn and refined (1 of 2 seeds: the same pictures as drawn ones, byte for byte)" in shown
    assert soon(lines[0]) == 0.4
    found = {(line["arm"], line["measure"]): line for line in difference_lines(lines)}
    assert {arm for arm, _ in found} == {"rendered"}
    assert [found["rendered", "map"][key] for key in ("points", "low", "high")] == pytest.approx(
        [11, 8.516, 13.484], abs=1e-3
    )
    assert found["rendered", "kimg"]["points"] == 0
    monkeypatch.setattr(detection_page, "FOLDER", tmp_path)
    monkeypatch.setattr(realness_page, "FOLDER", tmp_path / "realness")
    (tmp_path / "realness").mkdir()
    real = [
        {"arm": "floor", "fd": 0.2, "kid": 0.0},
        {"arm": "cycle", "num_real": 5, "seed": 0, "failed": "x", "psnr": 40.0},
    ]
    real += [
        {
            "arm": "rendered",
            "num_real": 5,
            "seed": seed,
            "psnr": 41.0,
            "auroc": 0.8 + seed / 100,
            "fd": 0.5,
            "kid": 0.01,
        }
        for seed in range(3)
    ]
    refined = [0.3, 0.72, 0.26]
    real += [real[-3 + seed] | {"arm": "refined", "auroc": refined[seed]} for seed in range(3)]
    (tmp_path / "realness" / "other.jsonl").write_text(json.dumps(real[0]) + "\n")
    (tmp_path / "realness" / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in real))
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = page()
    assert "### 5 real defects of each class" in text
    assert "### How soon" in text
    assert "| drawn, matched | 5 | 3 | 0.810 (0.785 to 0.835) | - | 41.0 ± 0.0 | 0.5 | 0.010 |" in " ".join(
        text.split()
    )
    # Of 0.2, 0.22 and 0.24 from drawn ones' 0.3, 0.31 and 0.32: 10, 9 and 8 hundredths nearer, whichever side they are on.
    assert "| drawn and refined | 5 | 3 | 0.427 (-0.206 to 1.060) | +9.0 (6.5 to 11.5) |" in " ".join(text.split())
    assert "## other" in text
    stated = {(line["arm"], line["measure"]): line for line in realness_page.difference_lines(real)}
    assert set(stated) == {("rendered", "mean"), ("refined", "mean"), ("refined", "nearer to 0.5")}
    assert stated["rendered", "mean"]["auroc"] == 0.81
    assert stated["refined", "nearer to 0.5"]["points"] == 9
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))


def test_cells_are_measured_once(
    bench: Bench, sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run writes is read; a second call measures what the first one lacks."""
    calls: list[list[str]] = []
    measured = {"map": 0.25, "map_50": 0.5, "map_75": 0.125, detection_page.RECALL: 0.75}

    def run(script: str, words: Sequence[str]) -> None:
        calls.append([script, *words])
        folder = Path(next(word for word in words if word.startswith("run_dir=")).partition("=")[2])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.jsonl").write_text(json.dumps({"metrics": measured}) + "\n")
        (folder / "metrics.csv").write_text("progress/kimg,metric/validation_map\n0.2,0.1\n0.4,\n0.6,0.3\n")

    monkeypatch.setattr(detection_arms, "run_program", run)
    monkeypatch.setattr(detection_arms, "bench_of", lambda given: bench)
    monkeypatch.setattr(detection_arms, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(detection_arms, "page", lambda: "")
    monkeypatch.setattr(detection_arms, "show", lambda *words: None)
    lines = tmp_path / "lines.jsonl"
    words = ["--data", str(bench.data), "--num-real", "4", "--seeds", "0", "--lines", str(lines)]
    detection_arms.main([*words, "--arms", "real"])
    detection_arms.main([*words, "--arms", "real", "rendered", "--jobs", "2"])
    found = read_lines(lines)
    assert [line["arm"] for line in found] == ["real", "rendered"]
    assert found[0]["validation"] == [[0.2, 0.1], [0.6, 0.3]]
    assert found[0]["scores"] == measured
    assert sum(found[1]["made"].values()) > 0
    assert [any("synthetic=" in word for word in call) for call in calls] == [False, True]
    assert set(source_settings(bench)) <= set(calls[0])
    # A refiner that leaves every picture as it was drawn: what was drawn has its detector already.
    shutil.copytree(sets["rendered"], bench.cache / "4_0_refined")
    detection_arms.main([*words, "--arms", "refined"])
    last = read_lines(lines)[-1]
    assert last["same_pictures_as"] == "rendered"
    assert "rendered_detector" in " ".join(calls[-1])
    assert str(sets["rendered"]) in " ".join(calls[-1])
    # Of fewer seeds than an interval needs there are no differences to write.
    monkeypatch.setattr(detection_arms, "FOLDER", tmp_path / "own")
    monkeypatch.setattr(detection_arms, "write_results", lambda *words: pytest.fail("nothing is to be written"))
    detection_arms.main([*words[:-2], "--arms", "real"])
    with pytest.raises(SystemExit):
        detection_arms.main([*words, "--kimg", "9"])
    with pytest.raises(SystemExit):
        detection_arms.main([*words, "--jobs", "0"])


def test_one_byte_makes_another_set(sets: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sets["rendered"], copy)
    assert learned_sets.same_pictures(copy, sets["rendered"])
    assert not learned_sets.same_pictures(copy, sets["pasted"])
    picture = sorted((copy / "train").iterdir())[3]
    picture.write_bytes(picture.read_bytes() + b"x")
    assert not learned_sets.same_pictures(copy, sets["rendered"])


def test_a_program_that_fails_says_its_last_line() -> None:
    with pytest.raises(ValueError, match=r"python absent.py max_kimg=1 failed: .*absent.py"):
        learned_sets.run_program("absent.py", ["max_kimg=1"])
    assert set(learned_sets.ARMS) >= {"refined", "style_transfer", "cycle", "pasted"}
    assert len(KINDS) == 6
