"""The task `inpaint`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from generative.inversion.fills import harmonic_fill
from generative.inversion.trained_fills import ConditionalGaussian
from generative.rendering.holes import random_blocks
from generative.rendering.images import read_png, to_pil, to_uint8
from lightning_modules.base import Invertible
from lightning_modules.tasks.arms import SearchArm
from lightning_modules.tasks.restoration import inpaint
from metrics.quality import restoration_scores
from tests.support.waves import FirstWave, Waves

DATA = Digits(batch_size=8, seed=0)
FAST: dict[str, Any] = {"seed": 0, "datamodule": DATA, "steps": 4, "count": 3}


def lines_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "inpaint.jsonl").read_text().splitlines()]


def originals(count: int) -> torch.Tensor:
    return DATA.split("test")[0][:count]


def own_images(folder: Path, count: int, *, seed: int = 5) -> Path:
    """Images of the generator's own waves, a file each."""
    folder.mkdir()
    for number, image in enumerate(to_uint8(Waves().sample(0, count, seed=seed))):
        to_pil(image).save(folder / f"wave_{number}.png")
    return folder


def test_it_writes_images_a_line_an_image_and_arm_a_table_and_a_picture(method: Invertible, tmp_path: Path) -> None:
    written = inpaint(method, tmp_path, **FAST)
    assert [path.name for path in written] == ["inpaint.jsonl", "inpaint.md", "inpaint.png"]
    lines, arms = lines_of(tmp_path), ["mean", "harmonic", "z", "z_seamless"]
    assert [(line["arm"], line["image"]) for line in lines] == [(arm, str(k)) for arm in arms for k in range(3)]
    assert {(line["mask"], line["steps"], line["hidden"]) for line in lines} == {("blocks2_25pct", 4, 16)}
    assert {line["classes"] for line in lines} == {"given" if method.num_classes else "none"}
    known = random_blocks(3, 8, 8, share=0.25, block=2, seed=0)
    filled = harmonic_fill(originals(3), known)
    scores = restoration_scores(to_uint8(filled), to_uint8(originals(3)), known)
    own = [line for line in lines if line["arm"] == "harmonic"]
    for name, values in scores.items():
        assert [line[name] for line in own] == pytest.approx(values.tolist())
    assert torch.equal(to_uint8(read_png(tmp_path / "harmonic" / "1.png")), to_uint8(filled[1]))
    of = {(line["arm"], line["image"]): line for line in lines}
    for k in "012":
        assert of["z", k]["psnr_known"] < 100 == of["z_seamless", k]["psnr_known"]
        drawn, pasted = (read_png(tmp_path / folder / f"{k}.png") for folder in ("z_raw", "z"))
        mask = known[int(k)]
        assert torch.equal(pasted[~mask], drawn[~mask])
        assert torch.equal(to_uint8(pasted)[mask], to_uint8(originals(3)[int(k)])[mask])
    rows = written[1].read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows[2:6]] == [f"| {arm}" for arm in arms]
    assert rows[3].split(" | ")[1] == f"{float(scores['psnr_hole'].mean()):.2f}"


def test_beside_the_gaussian_what_a_search_misses_is_also_carried_as_the_training_images_vary(
    method: Invertible, tmp_path: Path
) -> None:
    inpaint(method, tmp_path, arms=["z", "gaussian"], **FAST)
    assert list(dict.fromkeys(line["arm"] for line in lines_of(tmp_path))) == [
        "z",
        "z_seamless",
        "z_gaussian",
        "gaussian",
    ]
    known = random_blocks(3, 8, 8, share=0.25, block=2, seed=0)
    drawn = torch.stack([read_png(tmp_path / "z_raw" / f"{k}.png") for k in "012"])
    expected = ConditionalGaussian(DATA.split("train")[0][:]).mended(drawn, originals(3), known)
    kept = torch.stack([read_png(tmp_path / "z_gaussian" / f"{k}.png") for k in "012"])
    torch.testing.assert_close(kept, expected.clamp(-1, 1), rtol=0, atol=0.03)  # drawn and kept in 256 levels


def test_the_picture_shows_what_is_known(method: Invertible, tmp_path: Path) -> None:
    inpaint(method, tmp_path, masks="centre4", **FAST)
    picture = np.array(Image.open(tmp_path / "inpaint.png").convert("L"))
    image = to_uint8(originals(1))[0, 0].numpy()
    first = picture[22 : 22 + 96 : 12, 10 : 10 + 96 : 12]
    left = 10 + 100 + 8  # one column of a grid and the gap further
    second = picture[22 : 22 + 96 : 12, left : left + 96 : 12].copy()
    assert np.array_equal(first, image)
    assert (second[2:6, 2:6] == 128).all()
    second[2:6, 2:6] = image[2:6, 2:6]
    assert np.array_equal(second, image)


def test_fills_that_need_no_generator_are_arms(method: Invertible, tmp_path: Path) -> None:
    names = ["gaussian", "retrieval", "exemplar", "deep_prior", "biharmonic", "telea", "navier_stokes"]
    inpaint(method, tmp_path, arms=names, deep_prior_steps=2, **FAST)
    lines = lines_of(tmp_path)
    assert [line["arm"] for line in lines[::3]] == names
    assert all(line["psnr_known"] == 100.0 for line in lines)
    assert not (tmp_path / "z").exists(), "no search"


def test_a_hole_is_filled_by_what_the_generator_knows(tmp_path: Path) -> None:
    """Of its own waves: from the known pixels the search comes to the rest, which no fill can."""
    folder = own_images(tmp_path / "own", 4)
    inpaint(Waves(), tmp_path / "out", images=str(folder), **(FAST | {"steps": 300, "count": None}))
    lines = lines_of(tmp_path / "out")
    assert [line["image"] for line in lines[:4]] == [f"wave_{k}" for k in range(4)]
    least = {arm: min(line["psnr_hole"] for line in lines if line["arm"] == arm) for arm in ("harmonic", "code")}
    assert least["harmonic"] < 20
    assert least["code"] > 30


def test_a_mask_for_each_file_by_its_name(tmp_path: Path) -> None:
    folder, masks = own_images(tmp_path / "own", 3), tmp_path / "masks"
    masks.mkdir()
    for number in range(3):
        mask = np.zeros((8, 8), dtype=np.uint8)
        mask[number : number + 2, 1:4] = 255
        Image.fromarray(mask).save(masks / f"wave_{number}.png")
    inpaint(Waves(), tmp_path / "out", images=str(folder), masks=str(masks), **FAST)
    for number in range(3):
        filled, whole = (
            to_uint8(read_png(path / f"wave_{number}.png"))[0] for path in (tmp_path / "out" / "code_seamless", folder)
        )
        mask = torch.zeros(8, 8, dtype=torch.bool)
        mask[number : number + 2, 1:4] = True
        assert torch.equal(filled[~mask], whole[~mask])
        assert not torch.equal(filled[mask], whole[mask])
    assert {line["mask"] for line in lines_of(tmp_path / "out")} == {"masks"}


def test_an_image_has_its_mask_and_start_whichever_are_asked_for_beside_it(method: Invertible, tmp_path: Path) -> None:
    given = FAST | {"arms": ["mean", "z"], "start": "random"}
    for folder, images in (("both", [3, 7]), ("alone", [7])):
        inpaint(method, tmp_path / folder, images=images, **given)
    both, alone = (
        {line["arm"]: line["psnr_hole"] for line in lines_of(tmp_path / folder) if line["image"] == "7"}
        for folder in ("both", "alone")
    )
    assert both == pytest.approx(alone, abs=1e-3)
    with pytest.raises(ValueError, match="two images called 3: rename or leave out one of them"):
        inpaint(method, tmp_path / "twice", images=[3, 3], **given)


def test_fewer_images_of_a_folder_that_is_done_are_shown_alone(tmp_path: Path) -> None:
    folder = own_images(tmp_path / "own", 4)
    given = FAST | {"images": str(folder), "arms": ["harmonic"]}
    inpaint(Waves(), tmp_path / "out", **(given | {"count": 4}))
    inpaint(Waves(), tmp_path / "out", **(given | {"count": 2}))
    assert len(lines_of(tmp_path / "out")) == 4
    with pytest.raises(ValueError, match="holds results of other settings"):
        inpaint(Waves(), tmp_path / "out", judge=[FirstWave()], **(given | {"count": 2}))


def test_several_answers_are_averaged_and_their_doubt_is_measured(tmp_path: Path) -> None:
    folder = own_images(tmp_path / "own", 4)
    given = FAST | {"steps": 20, "count": 4, "arms": ["code"], "starts": 3, "masks": "centre4"}
    written = inpaint(Waves(), tmp_path / "out", images=str(folder), **given)
    assert [path.name for path in written[3:]] == [
        f"doubt_{arm}.{end}" for arm in ("code", "code_seamless") for end in ("png", "json")
    ]
    answers = torch.stack([read_png(tmp_path / f"out/answers/code/wave_2_{k}.png") for k in range(3)])
    mean = read_png(tmp_path / "out/code/wave_2.png")
    assert (answers.mean(dim=0) - mean).abs().max() < 2.1 / 255 + 1e-6  # both rounded to levels of 2 / 255
    assert answers.std(dim=0)[0, 2:6, 2:6].max() > 0.01, "the starts differ"
    doubt = json.loads((tmp_path / "out/doubt_code.json").read_text())
    assert doubt["answers"] == 3
    for line in lines_of(tmp_path / "out"):
        assert line["psnr_hole_single"] < line["psnr_hole"], "the mean errs less than one of them does on average"


def test_a_run_that_was_broken_off_goes_on(method: Invertible, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole"
    given = FAST | {"batch_size": 1, "arms": ["harmonic", "z"]}
    inpaint(method, whole, **given)
    fill, done = SearchArm.fill, []

    def dies(self: SearchArm, targets: Any) -> Any:
        done.append(len(done))
        if len(done) == 3:
            raise KeyboardInterrupt
        return fill(self, targets)

    broken = tmp_path / "broken"
    with monkeypatch.context() as patch:
        patch.setattr(SearchArm, "fill", dies)
        with pytest.raises(KeyboardInterrupt):
            inpaint(method, broken, **given)
    assert len({line["image"] for line in lines_of(broken)}) == 2
    with (broken / "inpaint.jsonl").open("a") as file:
        file.write(json.dumps({"image": "2", "arm": "harmonic"}) + '\n{"image": "2", "ar')  # as a kill leaves it
    (broken / "inpaint.kept").write_text("of a kill at the start")
    calls: list[int] = []
    monkeypatch.setattr(SearchArm, "fill", lambda self, targets: calls.append(len(targets)) or fill(self, targets))
    inpaint(method, broken, **given)
    assert calls == [1], "two images were done"
    ours, theirs = (
        [{k: v for k, v in line.items() if k != "seconds"} for line in lines_of(f)] for f in (broken, whole)
    )
    assert ours == theirs
    with pytest.raises(ValueError, match="holds results of other settings: choose another output folder"):
        inpaint(method, broken, **(given | {"steps": 5}))


def test_a_judge_names_what_was_filled(tmp_path: Path) -> None:
    """Of waves: one that hears the first of them, before and after the filling."""
    folder = own_images(tmp_path / "own", 3)
    given: dict[str, Any] = FAST | {"images": str(folder), "arms": ["mean", "harmonic"], "judge": [FirstWave()]}
    inpaint(Waves(), tmp_path / "out", **given)
    lines = lines_of(tmp_path / "out")
    assert {line["named_alike"] for line in lines} <= {0.0, 1.0}
    wave, judge = read_png(folder / "wave_1.png")[None], FirstWave()
    filled = read_png(tmp_path / "out" / "harmonic" / "wave_1.png")[None]
    own, other = judge.features(wave), judge.features(filled)
    (line,) = (line for line in lines if (line["arm"], line["image"]) == ("harmonic", "wave_1"))
    assert line["feature_distance"] == pytest.approx(float((own - other).norm() / own.norm()), abs=0.02)  # of bytes
    assert line["named_alike"] == float((own[0, 0] > 0) == (other[0, 0] > 0))
    for judges, message in (
        ([], "judge takes one checkpoint, got 0"),
        ([FirstWave((3, 8, 8))], "the judge takes images"),
    ):
        with pytest.raises(ValueError, match=message):
            inpaint(Waves(), tmp_path / "other", **(given | {"judge": judges}))


def test_classes_can_be_guessed(method: Invertible, tmp_path: Path) -> None:
    if method.num_classes == 0:
        return
    inpaint(method, tmp_path, guess_classes=True, **FAST)
    assert lines_of(tmp_path)[0]["classes"] == "found"
    with pytest.raises(ValueError, match=r"classes=\[1\] says what guess_classes is to find: give one of them"):
        inpaint(method, tmp_path, guess_classes=True, classes=[1], **FAST)


def test_time_runs_out(method: Invertible, tmp_path: Path) -> None:
    inpaint(method, tmp_path, seconds=0.3, **(FAST | {"steps": 10**6}))
    taken = [line["steps_taken"] for line in lines_of(tmp_path) if line["arm"] == "z"]
    assert all(1 <= steps < 10**6 for steps in taken)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arms": ["zz"]}, r"arms are some of mean, harmonic, .*, got 'zz'"),
        ({"arms": []}, "arms is empty"),
        ({"num_codes": 3}, "num_codes is a setting of none of the arms mean, harmonic, z"),
        ({"masks": "circles"}, "there are no holes called 'circles'"),
        ({"white": "hidden"}, "unknown meaning of white 'hidden'"),
        ({"starts": 0}, "starts must be at least 1, got 0"),
        ({"start": "encoder"}, "start=encoder needs a method with an encoder, and PolyINR has none"),
        ({"held_out": 1.0}, "held_out is a share of the known pixels from 0 to below 1, got 1.0"),
    ],
)
def test_bad_input(given: dict[str, Any], message: str, method: Invertible, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        inpaint(method, tmp_path / "out", **(FAST | given))
    assert not list(tmp_path.rglob("*.jsonl"))
