"""A checkpoint as the last step of drawing: what is drawn passes through it, and what does not go together is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.inspection import Inspection
from datamodules.synthesis.recipe import read_recipe
from datamodules.synthesize import main
from generative.rendering.images import from_uint8
from launch.checkpoint import load_method
from launch.compose import compose
from launch.translation import translation_of
from tests.support.defects import KINDS, write_boards
from train import train

NAMES = ",".join(f"'{name}'" for name in KINDS)
TINY = (
    "max_kimg=0.028", "num_threads=1", "datamodule.batch_size=14", "datamodule.num_real=4", "method.num_inputs=6",
    "method.generator.width=8", "method.critic.width=8", "method.critic.max_width=8",
)  # fmt: skip


def synthesize(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["synthesize", *map(str, words)])
    main()


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boards")
    write_boards(folder / "set", count=5)
    return folder / "set"


def trained(method: str, data: Path, run: Path, *words: str) -> Path:
    """The checkpoint of two steps on the boards."""
    source = f"datamodule.data_dir={data}" if method == "refiner" else f"datamodule.source.data_dir={data}"
    more = ["datamodule.num_test=1"] if method == "refiner" else ["datamodule.source.resolution=192"]
    size = "datamodule.size=32"
    train(
        compose("train", [f"experiment=defects/{method}_deeppcb", *TINY, source, *more, size, f"run_dir={run}", *words])
    )
    return run / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize("method", ["refiner", "filler", "cycle"])
def test_drawn_defects_pass_through_a_checkpoint(
    method: str, boards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Steps so large that a refiner takes pixels from one level of a board to the other
    wild = ["method.generator_optimizer.lr=1.0"] if method == "refiner" else []
    checkpoint = trained(method, boards, tmp_path / "run", *wild)
    recipe = tmp_path / "recipe.yaml"
    synthesize(monkeypatch, "fit", boards, "--num-real", "4", "-o", recipe)
    words = ["draw", recipe, "--clean", boards, "--count", "2", "--per-image", "2", "2"]
    synthesize(monkeypatch, *words, "-o", tmp_path / "drawn")
    if method == "cycle":  # two steps draw nothing that shows
        with pytest.raises(SystemExit):
            synthesize(monkeypatch, *words, "--refine", checkpoint, "-o", tmp_path / "refined")
        assert "none of 4 defects shows after" in capsys.readouterr().err
        return
    for name in ("refined", "again"):
        synthesize(monkeypatch, *words, "--refine", checkpoint, "-o", tmp_path / name)
    first, again, drawn = (
        [path.read_bytes() for path in sorted((tmp_path / name / "train").iterdir())]
        for name in ("refined", "again", "drawn")
    )
    assert first == again
    facts = [json.loads((tmp_path / name / "train.json").read_text()) for name in ("refined", "drawn")]
    assert facts[0]["annotations"] == facts[1]["annotations"]
    assert first != drawn
    data = Inspection(
        data_dir=str(tmp_path / "refined"), resolution=192, classes=list(KINDS), channels=1, batch_size=2, seed=0
    )
    assert "template" in data.targets("train")
    with pytest.raises(SystemExit):  # a folder that was begun without it
        synthesize(monkeypatch, *words, "--refine", checkpoint, "-o", tmp_path / "drawn")
    assert "another recipe, seed, setting, checkpoint" in capsys.readouterr().err


def test_a_classifier_names_what_was_drawn_of_any_class(
    boards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_file = tmp_path / "recipe.yaml"
    synthesize(monkeypatch, "fit", boards, "--num-real", "4", "-o", recipe_file)
    recipe = read_recipe(recipe_file)
    any_class = trained("cycle", boards, tmp_path / "any", "method.conditional=false")
    settings = [
        "experiment=none", "method=classifier", "datamodule=defect_patches", f"datamodule.source.data_dir={boards}",
        "datamodule.source.resolution=192", "datamodule.size=32", "datamodule.batch_size=14", "max_kimg=0.028", "num_threads=1",
        f"run_dir={tmp_path / 'classifier'}",
    ]  # fmt: skip
    train(compose("train", settings))
    classifier = tmp_path / "classifier" / "checkpoints" / "last.ckpt"
    windows = np.random.default_rng(0).integers(0, 256, (5, 32, 32)).astype(np.uint8)
    found = translation_of(any_class, recipe, seed=0, named_by=classifier, least_chance=0.0)
    assert found.naming is not None
    method, _ = load_method(classifier)
    images = from_uint8(torch.from_numpy(windows)[:, None])
    chances = method.classify(method.features(images)).softmax(dim=1)  # type: ignore[operator]
    expected = [(*KINDS, None)[place] for place in chances.argmax(dim=1).tolist()]
    assert found.naming(windows) == expected
    assert (
        translation_of(any_class, recipe, seed=0, named_by=classifier, least_chance=0.999).naming(windows) == [None] * 5
    )  # type: ignore[misc]
    refiner = trained("refiner", boards, tmp_path / "refiner")
    with pytest.raises(ValueError, match="has the class that was drawn: leave out --named-by"):
        translation_of(refiner, recipe, seed=0, named_by=classifier)
    with pytest.raises(ValueError, match="--least-chance must be at least 0 and below 1, got 1"):
        translation_of(any_class, recipe, seed=0, named_by=classifier, least_chance=1.0)
    words = ["draw", recipe_file, "--clean", boards, "--count", "1", "--named-by", classifier, "-o", tmp_path / "o"]
    with pytest.raises(SystemExit):
        synthesize(monkeypatch, *words)
    assert "--named-by names what --refine drew" in capsys.readouterr().err


def test_what_does_not_go_together_is_refused(
    boards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_run: Callable[..., tuple[Path, dict[str, float]]],
) -> None:
    recipe_file = tmp_path / "recipe.yaml"
    synthesize(monkeypatch, "fit", boards, "--num-real", "4", "-o", recipe_file)
    recipe = read_recipe(recipe_file)
    classifier, _ = small_run("method=classifier", "max_kimg=0.016")
    with pytest.raises(ValueError, match="of Classifier, which translates no images"):
        translation_of(classifier / "checkpoints" / "last.ckpt", recipe, seed=0)
    any_class = trained("cycle", boards, tmp_path / "any", "method.conditional=false")
    with pytest.raises(ValueError, match="draws defects of any class, so that none has a name: give a classifier"):
        translation_of(any_class, recipe, seed=0)
    with pytest.raises(ValueError, match="which names no classes: give a run of method=classifier"):
        translation_of(any_class, recipe, seed=0, named_by=any_class)
    with pytest.raises(ValueError, match="names images of 1 x 8 x 8, and those that are drawn have 1 x 32 x 32"):
        translation_of(any_class, recipe, seed=0, named_by=classifier / "checkpoints" / "last.ckpt")
    known = trained("cycle", boards, tmp_path / "known")
    recipe.classes["dent"] = recipe.classes["open"]
    with pytest.raises(ValueError, match=r"the recipe draws 'dent', and .* has learned open, short"):
        translation_of(known, recipe, seed=0)
    del recipe.classes["dent"]
    object.__setattr__(recipe, "channels", 3)
    with pytest.raises(ValueError, match="of 1 channels, and the recipe draws 3"):
        translation_of(known, recipe, seed=0)
