"""The page of filled holes, from folders as `task=inpaint` writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.ledger import inpainting, results
from docs.ledger.inpainting import INPAINTING, called, collect_inpainting

Folder = Callable[..., Path]
SEARCH = {"starts": 1, "start": "random", "held_out": 0.0, "perceptual": 0.0, "steps": 300, "rate": None}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """``folder(0, {"harmonic": 15.0})``: what the task wrote of a generator, its arms by their PSNR of the hole, taken in."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    def make(seed: int, arms: dict[str, float], *, images: str = "digits:test 0, 1", **facts: Any) -> Path:
        path = tmp_path / f"out_{seed}_{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        shared = {"experiment": "pggan/digits", "train_seed": seed, "kimg": 8.0, "mask": "centre4"} | SEARCH | facts
        lines = [
            {"image": str(k), "arm": arm, "psnr_hole": psnr + k + 0.01 * seed, "psnr_known": 30.0, "psnr_raw": 20.0}
            | {"seconds": 0.5}
            | shared
            for arm, psnr in arms.items()
            for k in range(2)
        ]
        (path / "inpaint.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (path / "inpaint.json").write_text(json.dumps({"environment": {"processor": "a processor", "torch": "2"}}))
        (path / "inpaint_settings.json").write_text(json.dumps({"images": images}))
        collect_inpainting(path)
        return path

    return make


def test_an_arm_is_called_by_what_was_set_of_it() -> None:
    line = {"arm": "harmonic"} | SEARCH
    assert called(line) == "harmonic"
    assert called(line | {"arm": "z_seamless"}) == "z + harmonic residual"
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
    assert (lines[1]["psnr_raw"], lines[1]["seconds"], lines[1]["environment"]) == (
        20.0,
        0.5,
        {"processor": "a processor"},
    )
    folder(0, {"z": 18.0})
    assert [line["psnr_hole"][0] for line in results.read_results(INPAINTING)] == [15.0, 18.0]


def test_arms_are_held_against_the_simple_ones(folder: Folder) -> None:
    for seed in range(3):
        folder(seed, {"harmonic": 15.0, "gaussian": 20.0, "z": 15.5})
        folder(seed, {"codes": 17.0 + 0.02 * seed}, num_codes=10, layer=4)
    text = inpainting.page()
    assert "## centre4, 2 images, `pggan/digits`" in text
    rows = [line for line in text.splitlines() if line.startswith("| 10 codes, layer 4 | ")]
    assert rows[0].startswith("| 10 codes, layer 4 | 3 | 17.53 | 30.00 |")
    assert [row.split(" | ")[1] for row in rows[1:]] == ["harmonic", "gaussian", "z"]
    assert [row.rstrip(" |").split(" | ")[-1] for row in rows[1:]] == ["better", "worse", "better"]
    assert text.index("| gaussian | 3 |") < text.index("| harmonic | 3 |"), "best first"


def test_everything_that_the_page_asks_is_measured_once() -> None:
    plan = list(inpainting.plan())
    assert len({(mask, name) for mask, name, _ in plan}) == len(plan)
    asked = {mask: {name for of, name, _ in plan if of == mask} for mask in inpainting.MASKS}
    assert asked["blocks8_12pct"] == {
        "fills",
        "z",
        "codes10",
        "codes10_layer8",
        "codes10_dot",
        "codes10_scaled",
        "codes10_cbam",
    }
    assert {f"codes{number}" for number in (1, 2, 5, 10, 20, 30)} <= asked["blocks8_25pct"]
    assert all(given["steps"] == 300 and given["arms"] for *_, given in plan)


def test_few_generators_state_no_order_and_none_say_what_to_type(folder: Folder) -> None:
    assert "Nothing was measured yet: `python -m docs.ledger.inpainting --collect" in inpainting.page()
    folder(0, {"harmonic": 15.0, "z": 16.0})
    assert "| against |" not in inpainting.page()


def test_a_folder_where_an_arm_failed_is_not_taken_in(folder: Folder) -> None:
    path = folder(0, {"harmonic": 15.0, "z": 16.0})
    with (path / "inpaint.jsonl").open("a") as file:
        file.write(json.dumps({"image": "1", "arm": "exemplar", "failed": "no square"}) + "\n")
    with pytest.raises(ValueError, match=r"exemplar made nothing of image 1 \(no square\), and arms are compared"):
        collect_inpainting(path)


def test_a_folder_without_lines_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no inpaint\.jsonl with lines: python generate\.py"):
        collect_inpainting(tmp_path)
