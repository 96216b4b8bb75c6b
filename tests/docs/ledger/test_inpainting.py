"""The page of filled holes, from folders as `task=inpaint` writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.ledger import results
from docs.ledger.inpainting_answers import holes_in_words, spoken
from docs.ledger.inpainting_lines import called, collect_inpainting
from docs.ledger.inpainting_page import chart, page
from docs.ledger.inpainting_plan import AT, ONCE, PLAN, SEARCH, first_snapshot
from docs.ledger.inpainting_questions import QUESTIONS
from docs.ledger.results import INPAINTING

Folder = Callable[..., Path]
FACTS = {"pixel": "l2", "starts": 1, "start": "random", "held_out": 0.0, "perceptual": 0.0, "steps": 300, "rate": None}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """``folder(0, {"harmonic": 15.0})``: what the task wrote of a generator, its arms by their PSNR of the hole, taken in."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    def make(
        seed: int, arms: dict[str, float], *, images: str = "digits:test 0, 1", mask: str = AT, **facts: Any
    ) -> Path:
        path = tmp_path / f"out_{seed}_{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        shared = {"experiment": "pggan/digits", "train_seed": seed, "kimg": 8.0, "mask": mask}
        shared |= {"generator": f"g{seed}"} | FACTS | facts
        lines = [
            {
                "image": str(k),
                "arm": arm,
                "psnr_hole": psnr + k + 0.01 * seed,
                "psnr_known": 30.0,
                "psnr_raw": 20.0,
                "psnr_pasted": 21.0,
            }
            | {"seconds": 0.5}
            | shared
            for arm, psnr in arms.items()
            for k in range(2)
        ]
        (path / "inpaint.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (path / "inpaint.json").write_text(json.dumps({"environment": {"processor": "a processor", "torch": "2"}}))
        (path / "inpaint_settings.json").write_text(
            json.dumps({"images": images, "seed": 0, "seconds": facts.get("within")})
        )
        collect_inpainting(path)
        return path

    return make


def test_an_arm_is_called_by_what_was_set_of_it() -> None:
    line = {"arm": "harmonic"} | FACTS
    assert called(line) == "harmonic"
    assert called(line | {"arm": "z_seamless"}) == "z + harmonic residual"
    assert called(line | {"arm": "z_gaussian"}) == "z + Gaussian residual"
    assert called(line | {"arm": "encoder_seamless"}) == "encoder + harmonic residual"
    codes = line | {"arm": "codes", "num_codes": 10, "layer": 4, "attention": "none"}
    assert called(codes) == "10 codes, layer 4"
    set_so = codes | {"attention": "dot", "starts": 8, "start": "nearest", "held_out": 0.1, "importance": False}
    assert called(set_so) == "10 codes, layer 4, dot, importance fixed, start nearest, 8 starts, 10 % held out"
    assert called(codes | {"steps": 50, "rate": 0.2}) == "10 codes, layer 4, 50 steps, rate 0.2"
    assert called(line | {"arm": "features", "layer": 6, "perceptual": 0.1}) == "features, layer 6, perceptual 0.1"
    tuned = {"tuning_steps": 200, "tuning_rate": 0.001}
    assert called(codes | tuned) == "10 codes, layer 4"
    assert called(codes | tuned | {"arm": "codes_tuned"}) == "10 codes, layer 4, tuned 200 steps at 0.001"
    assert called(line | tuned | {"arm": "z_tuned_seamless"}) == "z, tuned 200 steps at 0.001 + harmonic residual"


def test_lines_of_a_folder_have_each_images_hole_and_the_means_of_the_rest(folder: Folder) -> None:
    folder(0, {"harmonic": 15.0, "z": 16.0})
    lines = results.read_results(INPAINTING)
    assert [line["arm"] for line in lines] == ["harmonic", "z"]
    assert lines[1]["psnr_hole"] == [16.0, 17.0]
    assert (lines[1]["psnr_pasted"], lines[1]["seconds"], lines[1]["environment"]) == (
        21.0,
        0.5,
        {"processor": "a processor"},
    )
    folder(0, {"z": 18.0})
    assert [line["psnr_hole"][0] for line in results.read_results(INPAINTING)] == [15.0, 18.0]


def test_questions_are_answered_image_by_image(folder: Folder) -> None:
    for seed in range(5):
        folder(seed, {"z": 15.5, "harmonic": 15.0, "gaussian": 20.0})
        folder(seed, {"codes": 17.0 + 0.02 * seed, "codes_seamless": 17.5}, num_codes=10, layer=4)
        folder(seed, {"codes": 16.0 + 0.02 * seed}, num_codes=10, layer=4, kimg=4.0)
        folder(seed, {"codes": 14.0}, num_codes=10, layer=4, mask="blocks8_40pct")
    text = page()
    assert "## blocks8_25pct, 2 images, `pggan/digits`\n" in text
    assert "## blocks8_25pct, 2 images, `pggan/digits`, generators after 4 thousand images\n" in text
    rows = [row.rstrip(" |").split(" | ") for row in text.splitlines() if row.startswith("| 10 codes, layer 4")]
    found = {(*row[:4],): row[4:] for row in rows if len(row) == 7}
    one = found["| 10 codes, layer 4", "z", AT, "hole"]
    assert one[0].startswith("+1.54 (")
    assert one[2] == "better"
    assert found["| 10 codes, layer 4", "10 codes, layer 4, an earlier generator", AT, "hole"][0].startswith("+1.00")
    harder = found["| 10 codes, layer 4", "10 codes, layer 4 at blocks8_25pct", "blocks8_40pct", "hole"]
    assert harder[0].startswith("-3.04 (")
    assert found["| 10 codes, layer 4 + harmonic residual", "gaussian", AT, "hole"][2] == "worse"
    assert found["| 10 codes, layer 4", "encoder", AT, "hole"] == ["-", "-", "open"]
    told = " ".join(text.split())
    assert "**C6.** Many codes beat one code" in told
    assert "* ten codes against z, hole: open at 12 %, 40 %; better at 25 % (+1.54 dB)." in told
    assert "* ten codes against ten codes at 25 %, hole: worse at 40 % (-3.04 dB)." in told
    assert (
        "25 % hidden in blocks of 8 pixels, 2 images: gaussian 20.52 dB, ten codes + harmonic residual 18.02 dB" in told
    )
    assert text.index("| gaussian | 5 |") < text.index("| harmonic | 5 |"), "best first"


def test_an_arm_by_an_encoders_checkpoint_is_one_of_the_generator_that_it_has(folder: Folder) -> None:
    told = {"experiment": "pggan/digits_encoder", "kimg": 100.0, "generator": "g2"}
    with pytest.raises(ValueError, match="generator of pggan/digits_encoder, seed 7, has no lines yet"):
        folder(7, {"encoder": 16.0}, **told)
    folder(2, {"z": 15.5})
    folder(7, {"encoder": 16.0}, **told)
    (line,) = (line for line in results.read_results(INPAINTING) if line["arm"] == "encoder")
    assert (line["experiment"], line["train_seed"], line["kimg"]) == ("pggan/digits", 2, 8.0)


def test_everything_that_the_page_asks_is_measured_once() -> None:
    plan = [*PLAN, *ONCE]
    assert len({asked.name for asked in plan}) == len(plan)
    assert all({**SEARCH, **asked.settings}["arms"] for asked in plan)


def test_every_arm_of_a_question_is_in_the_plan() -> None:
    """By the names that lines have which the task would write of it."""
    made: set[tuple[str, str]] = set()
    for asked in PLAN:
        settings = {"pixel": "l2", "starts": 1, "held_out": 0.0, "rate": None} | SEARCH | asked.settings
        for arm in settings["arms"]:
            endings = ("", "_seamless", "_gaussian") if "gaussian" in settings["arms"] else ("", "_seamless")
            names = {called({"arm": arm + ending} | settings) for ending in endings}
            made |= {(name, mask) for name in names for mask in asked.masks}
    for question in QUESTIONS:
        for pair in question.pairs:
            assert (pair.arm, pair.mask) in made, question.name
            assert (pair.other, pair.than or pair.mask) in made, question.name


def test_few_generators_state_no_order_and_none_say_what_to_type(folder: Folder) -> None:
    assert "Nothing was measured yet: `python -m docs.ledger.inpainting --collect" in page()
    folder(0, {"harmonic": 15.0, "z": 16.0})
    assert "| better |" not in page()


def test_an_early_generator_is_the_first_snapshot(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kept no earlier state: train it with"):
        first_snapshot(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name in ("100kimg", "50kimg", "last"):
        (tmp_path / "checkpoints" / f"{name}.ckpt").touch()
    assert first_snapshot(tmp_path).name == "50kimg.ckpt"


def test_a_folder_where_an_arm_failed_is_not_taken_in(folder: Folder) -> None:
    path = folder(0, {"harmonic": 15.0, "z": 16.0})
    with (path / "inpaint.jsonl").open("a") as file:
        file.write(json.dumps({"image": "1", "arm": "exemplar", "failed": "no square"}) + "\n")
    with pytest.raises(ValueError, match=r"exemplar made nothing of image 1 \(no square\), and arms are compared"):
        collect_inpainting(path)


def test_lines_are_those_of_the_images_in_one_order(folder: Folder) -> None:
    path = folder(0, {"z": 15.5})
    lines = (path / "inpaint.jsonl").read_text().splitlines()
    (path / "inpaint.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    before = results.read_results(INPAINTING)
    collect_inpainting(path)
    assert results.read_results(INPAINTING) == before, "an image that failed at first stands last in its file"
    assert before[0]["sample_seed"] == 0
    assert len(before[0]["named"]) == 12
    with pytest.raises(ValueError, match="was measured within seconds=60, which no arm's name tells"):
        folder(1, {"z": 15.5}, within=60.0)


def test_what_no_order_says(folder: Folder) -> None:
    folder(0, {"codes": 17.0}, num_codes=10, layer=4)
    folder(0, {"codes": 17.0}, num_codes=10, layer=8, seconds=1.25)
    folder(0, {"z": 16.0}, starts=8, psnr_hole_spread=0.9)
    text = " ".join(page().split())
    assert "ten codes take 0.50 s an image, ten codes, layer 8 take 1.25 s an image, 300 steps" in text
    assert "between starts by a standard deviation of z, 8 starts: 0.90 dB." in text


def test_a_folder_without_lines_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no inpaint\.jsonl with lines: python generate\.py"):
        collect_inpainting(tmp_path)


def test_arms_and_holes_in_words() -> None:
    assert spoken("10 codes, layer 4, dot") == "ten codes, dot"
    assert spoken("10 codes, layer 8") == "ten codes, layer 8"
    assert spoken("1 codes, layer 4") == "one code with importance"
    assert spoken("20 codes, layer 4 + harmonic residual") == "20 codes + harmonic residual"
    assert [holes_in_words(mask) for mask in ("blocks8_12pct", "blocks4_25pct")] == ["12 %", "25 % in blocks of 4"]


def test_a_folder_that_was_broken_off_says_how_it_goes_on(folder: Folder) -> None:
    path = folder(0, {"z": 15.5})
    (path / "inpaint.json").unlink()
    with pytest.raises(ValueError, match="was broken off: type the command again, which goes on from there"):
        collect_inpainting(path)


def test_the_chart_has_the_means_of_what_was_measured(folder: Folder) -> None:
    for seed in range(2):
        folder(seed, {"harmonic": 15.0})
        folder(seed, {"codes": 17.0}, num_codes=10, layer=4)
        folder(seed, {"codes": 18.0}, num_codes=20, layer=4)
    shares, codes, _, attention = chart(results.read_results(INPAINTING)).axes
    assert [text.get_text() for text in shares.get_legend().get_texts()] == ["ten codes", "harmonic"]
    (holes, known) = codes.containers
    assert list(holes.lines[0].get_ydata()) == pytest.approx([17.505, 18.505])
    assert list(known.lines[0].get_ydata()) == [30.0, 30.0]
    assert [label.get_text() for label in attention.get_xticklabels()] == ["none"]
