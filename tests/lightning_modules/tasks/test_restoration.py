"""The task `inpaint`."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from generative.errors import PartlyDone
from generative.inversion.fills import harmonic_fill
from generative.inversion.measurements import Masked
from generative.inversion.objective import ReconstructionLoss
from generative.inversion.trained_fills import ConditionalGaussian
from generative.rendering.holes import random_blocks
from generative.rendering.images import read_png, to_pil, to_uint8
from lightning_modules.base import Invertible
from lightning_modules.poly_inr.synthesis import Synthesis
from lightning_modules.tasks.arms import SearchArm
from lightning_modules.tasks.restoration import inpaint
from lightning_modules.tasks.search import Inversion, Targets
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
    assert rows[3].split(" | ")[1:3] == ["3", f"{float(scores['psnr_hole'].mean()):.2f}"]


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


def test_seconds_bound_all_that_a_search_does(
    method: Invertible, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second with every drawing: samples to start from, steps for classes, of searches, tuning."""
    clock, forward = [0.0], Synthesis.forward

    def draws(self: Synthesis, *given: Any) -> torch.Tensor:
        clock[0] += 1.0
        return forward(self, *given)

    monkeypatch.setattr(Synthesis, "forward", draws)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    given = FAST | {"arms": ["z", "w"], "tuning_steps": 10**6, "steps": 10**6, "start": "random"}
    given |= {"count": 2} if method.num_classes else {"count": 6, "batch_size": 4}  # in two batches
    inpaint(method, tmp_path / "all", guess_classes=method.num_classes > 0, seconds=100.0, **given)
    assert 100 <= clock[0] <= 100 + 3, "no more than a step, and what it has drawn"
    assert all(line["steps_taken"] > 1 for line in lines_of(tmp_path / "all"))
    clock[0] = 0.0
    given = FAST | {"arms": ["z"], "steps": 10**6, "count": 1, "batch_size": 1}
    inpaint(method, tmp_path / "samples", seconds=40.0, **given)
    assert 40 <= clock[0] <= 40 + 3, "of which 32 were for samples, one by one"
    monkeypatch.undo()


def test_weights_of_each_images_own_are_arms(method: Invertible, tmp_path: Path) -> None:
    given = FAST | {"arms": ["mean", "w"], "tuning_steps": 8, "tuning_rate": 0.003, "start": "random"}
    before = copy.deepcopy(method.state_dict())
    written = inpaint(method, tmp_path / "both", **given)
    lines = lines_of(tmp_path / "both")
    arms = ["mean", "w", "w_seamless", "w_tuned", "w_tuned_seamless"]
    assert [(line["arm"], line["image"]) for line in lines] == [(arm, str(k)) for arm in arms for k in range(3)]
    assert {(line["tuning_steps"], line["tuning_rate"]) for line in lines} == {(8, 0.003)}
    of = {(line["arm"], line["image"]): line for line in lines}
    for k in "012":
        assert (
            of["w", k]["psnr_known"] < of["w_tuned", k]["psnr_known"] < 100 == of["w_tuned_seamless", k]["psnr_known"]
        )
        assert of["w_tuned", k]["seconds"] > of["w", k]["seconds"]
        assert (of["w", k]["steps_taken"], of["w_tuned", k]["steps_taken"]) == (4, 8)
        drawn, pasted = (read_png(tmp_path / "both" / folder / f"{k}.png") for folder in ("w_tuned_raw", "w_tuned"))
        known = random_blocks(3, 8, 8, share=0.25, block=2, seed=0)[int(k)]
        assert torch.equal(pasted[~known], drawn[~known])
        assert not torch.equal(pasted[known], drawn[known])
    assert "| w_tuned |" in written[1].read_text()
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    inpaint(method, tmp_path / "alone", images=[2], **given)
    (alone,) = (line for line in lines_of(tmp_path / "alone") if line["arm"] == "w_tuned")
    assert alone["psnr_hole"] == pytest.approx(of["w_tuned", "2"]["psnr_hole"], abs=1e-2)
    with pytest.raises(ValueError, match=r"tuning_rate=0\.01 tunes nothing: give tuning_steps, or leave it out"):
        inpaint(method, tmp_path / "still", tuning_rate=0.01, **FAST)
    with pytest.raises(ValueError, match="tuning_steps must be at least 0, got -1"):
        inpaint(method, tmp_path / "other", **(given | {"tuning_steps": -1}))


def with_masks(folder: Path, known: list[torch.Tensor]) -> Path:
    """Masks [8, 8] of the known pixels of as many waves, white where something is missing."""
    folder.mkdir()
    for number, mask in enumerate(known):
        Image.fromarray(255 * (~mask).numpy().astype(np.uint8)).save(folder / f"wave_{number}.png")
    return folder


def known_at(*places: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(8, 8, dtype=torch.bool)
    for place in places:
        mask[place] = True
    return mask


def test_an_image_that_an_arm_cannot_fill_costs_that_image_alone(tmp_path: Path) -> None:
    centre, thin = random_blocks(1, 8, 8, share=0.25, block=4, seed=0)[0, 0], torch.ones(8, 8, dtype=torch.bool)
    thin[::3], thin[:, ::3] = False, False  # squares of 2 pixels are known
    masks = with_masks(tmp_path / "masks", [centre, thin, centre, known_at((2, 3))])
    folder = own_images(tmp_path / "own", 4)
    given = FAST | {"images": str(folder), "masks": str(masks), "count": 4, "starts": 2}
    given |= {"arms": ["exemplar", "code", "mean"], "held_out": 0.5}
    with pytest.raises(
        PartlyDone, match="2 of 4 images could not be filled by all arms, and the rest is done; "
    ) as told:
        inpaint(Waves(), tmp_path / "out", **given)
    assert "the first is wave_1 by exemplar: no square" in str(told.value)
    assert {"inpaint.jsonl", "inpaint.md", "inpaint.png"} < {path.name for path in told.value.files}
    lines = {(line["arm"], line["image"]): line for line in lines_of(tmp_path / "out")}
    failed = {key: line["failed"] for key, line in lines.items() if "failed" in line}
    assert len(lines) == 4 * 4
    assert set(failed) == {("exemplar", "wave_1")} | {(arm, "wave_3") for arm in ("exemplar", "code", "code_seamless")}
    assert failed["exemplar", "wave_1"].startswith("no square of 3 x 3 pixels is known")
    assert failed["code", "wave_3"] == (
        "held_out=0.5 needs two known pixels, one to see and one to be judged by: leave it out here"
    )
    assert json.loads((tmp_path / "out/doubt_code.json").read_text())["answers"] == 2, "of the three that it filled"
    assert Image.open(tmp_path / "out" / "inpaint.png").height > 4 * 96
    inpaint(Waves(), tmp_path / "rest", **(given | {"count": 1}))
    for line in lines_of(tmp_path / "rest"):
        assert line["psnr_hole"] == pytest.approx(lines[line["arm"], "wave_0"]["psnr_hole"], abs=1e-3)


def test_a_damaged_file_costs_that_image_alone(tmp_path: Path) -> None:
    folder = own_images(tmp_path / "own", 3)
    whole = (folder / "wave_1.png").read_bytes()
    start = whole.index(b"IDAT") + 4
    damaged = whole[:start] + bytes(20) + whole[start + 20 :]
    (folder / "wave_1.png").write_bytes(damaged)
    given = FAST | {"images": str(folder), "arms": ["mean"]}
    with pytest.raises(PartlyDone, match="1 of 3 images could not be filled"):
        inpaint(Waves(), tmp_path / "out", **given)
    lines = lines_of(tmp_path / "out")
    assert [(line["image"], line["arm"]) for line in lines] == [
        ("wave_1", None),
        ("wave_0", "mean"),
        ("wave_2", "mean"),
    ]
    assert "wave_1.png is not a readable image" in lines[0]["failed"]
    (folder / "wave_1.png").write_bytes(whole)
    inpaint(Waves(), tmp_path / "out", **given)
    assert [line["image"] for line in lines_of(tmp_path / "out")] == ["wave_0", "wave_2", "wave_1"]


def test_photos_of_other_sizes_are_fitted_each(tmp_path: Path) -> None:
    folder = own_images(tmp_path / "own", 3)
    for name, size in (("wave_0", (12, 16)), ("wave_2", (9, 8))):
        Image.open(folder / f"{name}.png").resize(size).save(folder / f"{name}.png")
    given = FAST | {"images": str(folder), "arms": ["mean"]}
    with pytest.raises(PartlyDone, match="2 of 3 images could not be filled"):
        inpaint(Waves(), tmp_path / "some", **given)
    lines = {line["image"]: line for line in lines_of(tmp_path / "some")}
    assert "psnr_hole" in lines["wave_1"]
    assert "wave_0.png is grey, 16 x 12 pixels" in lines["wave_0"]["failed"]
    inpaint(Waves(), tmp_path / "all", fit=True, **given)
    assert all("psnr_hole" in line for line in lines_of(tmp_path / "all"))
    (folder / "wave_1.png").unlink()
    with pytest.raises(ValueError, match=r"none of 2 images could be filled; the first is wave_0: .*or add fit=true"):
        inpaint(Waves(), tmp_path / "none", **given)
    inpaint(Waves(), tmp_path / "none", fit=True, **given)
    assert len(lines_of(tmp_path / "none")) == 2, "a folder without any result takes other settings"


def test_chance_never_holds_out_all_or_nothing() -> None:
    inversion = Inversion(Waves(), ReconstructionLoss(), seed=0, steps=1, rate=None, batch_size=8, held_out=0.5)
    known = torch.stack([known_at((0, 0), (number, 7)) for number in range(1, 8)])[:, None]
    targets = Targets(torch.zeros(7, 1, 8, 8), None, Masked(known))
    for share in (0.02, 0.5, 0.98):
        seen, watched = replace(inversion, held_out=share).apart(targets)
        assert isinstance(seen, Masked)
        assert isinstance(watched, Masked)
        assert torch.equal(seen.known ^ watched.known, known)
        alone, _ = replace(inversion, held_out=share).apart(targets.of(torch.tensor([3])))
        assert isinstance(alone, Masked)
        assert torch.equal(alone.known, seen.known[3:4])
    with pytest.raises(ValueError, match=r"image number 0 of a batch: held_out=0\.5 needs two known pixels"):
        inversion.apart(replace(targets, through=Masked(known & (torch.arange(8) > 0))))


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
