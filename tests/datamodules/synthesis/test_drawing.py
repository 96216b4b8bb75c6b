"""Drawn sets: the same pixels in two processes and after a kill, readable by others, equal to their twins beside the defects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import CocoDetection

from datamodules.inspection import Inspection
from datamodules.synthesis.drawing import JOURNAL, Drawing, Plan
from datamodules.synthesis.fitting import fit
from datamodules.synthesis.painting import Style
from datamodules.synthesis.reading import choose, clean_images, read_examples
from datamodules.synthesis.recipe import cutouts_of, read_recipe
from datamodules.synthesize import main
from tests.conftest import ROOT
from tests.support.defects import KINDS, write_boards, write_parts

PARTS = ("excess epoxy", "fibre")


def fitted(folder: Path, recipe: Path, *, num_real: int) -> Path:
    """The file of what was learned of a set."""
    examples = read_examples(folder)
    found = fit(examples, choose(examples, num_real=num_real, seed=0), num_real=num_real, seed=0, families={})
    found.recipe.write(recipe)
    cutouts_of(recipe).mkdir()
    for name, pixels in found.cutouts.items():
        Image.fromarray(pixels).save(cutouts_of(recipe) / name)
    return recipe


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("boards")
    write_boards(folder / "set", count=5)
    return folder / "set", fitted(folder / "set", folder / "recipe.yaml", num_real=4)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("parts")
    write_parts(folder / "set", count=3)
    return folder / "set" / "faultless", fitted(folder / "set", folder / "recipe.yaml", num_real=3)


def drawing(
    source: tuple[Path, Path], output: Path, *, count: int = 4, style: Style | None = None, seed: int = 0
) -> Drawing:
    clean, recipe = source
    plan = Plan(count, seed=seed, per_image=(2, 3), style=style or Style())
    return Drawing(recipe, read_recipe(recipe), clean_images(clean), plan, output)


def drawn(
    source: tuple[Path, Path], output: Path, *, count: int = 4, style: Style | None = None, seed: int = 0
) -> Drawing:
    made = drawing(source, output, count=count, style=style, seed=seed)
    made.start()
    for number in made.missing():
        made.draw(number)
    made.finish()
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def words_for(source: tuple[Path, Path], output: Path) -> list[str]:
    return [
        "draw",
        str(source[1]),
        "--clean",
        str(source[0]),
        "--count",
        "4",
        "--per-image",
        "2",
        "3",
        "-o",
        str(output),
    ]


def test_another_process_draws_the_same(boards: tuple[Path, Path], parts: tuple[Path, Path], tmp_path: Path) -> None:
    sources = {"boards": boards, "parts": parts}
    commands = [words_for(source, tmp_path / f"other {name}") for name, source in sources.items()]
    loop = f"for words in {commands!r}:\n    sys.argv[1:] = words\n    main()"
    script = f"import sys\nfrom datamodules.synthesize import main\n{loop}"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True)
    for name, source in sources.items():
        other = tmp_path / f"other {name}"
        assert (other / "sheet.png").exists()
        (other / "sheet.png").unlink()
        assert contents(other) == contents(drawn(source, tmp_path / name).output)


def test_a_killed_one_goes_on(boards: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(boards, tmp_path / "whole")
    cut = drawing(boards, tmp_path / "cut")
    cut.start()
    for number in (0, 1):
        cut.draw(number)
    journal = tmp_path / "cut" / JOURNAL
    journal.write_text(journal.read_text()[:-40])  # killed within a line
    monkeypatch.setattr(sys, "argv", ["synthesize", *words_for(boards, tmp_path / "cut")])
    main()
    (tmp_path / "cut" / "sheet.png").unlink()
    assert contents(tmp_path / "cut") == contents(whole.output)


def test_another_seed_draws_others(boards: tuple[Path, Path], tmp_path: Path) -> None:
    first, other = (drawn(boards, tmp_path / str(seed), seed=seed).rows for seed in (0, 1))
    assert [row["instances"] for row in first.values()] != [row["instances"] for row in other.values()]


@pytest.mark.parametrize(("name", "classes"), [("boards", KINDS), ("parts", PARTS)])
def test_others_read_the_set(
    name: str, classes: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(name)
    output = drawn(source, tmp_path / "set").output
    coco = COCO(str(output / "train.json"))
    assert [row["name"] for row in coco.loadCats(coco.getCatIds())] == list(classes)
    annotations = coco.loadAnns(coco.getAnnIds())
    assert len(annotations) >= 6
    lines = [json.loads(line) for line in (output / "parameters.jsonl").read_text().splitlines()]
    assert len(lines) == len(annotations)
    for row, line in zip(annotations, lines, strict=True):
        mask = coco.annToMask(row)
        left, top, width, height = row["bbox"]
        rows, columns = np.nonzero(mask)
        assert mask.sum() == row["area"]
        assert left <= columns.min()
        assert columns.max() < left + width + 1
        assert top <= rows.min()
        assert rows.max() < top + height + 1
        assert {"class", "control_points", "thickness", "material", "alpha", "seed", "score", "image"} <= line.keys()
        assert 0 <= line["score"] <= 1
    picture, targets = CocoDetection(str(output / "train"), str(output / "train.json"))[0]
    assert picture.size == (192, 192)
    assert targets
    (output / "test.json").write_text((output / "train.json").read_text().replace('file_name": "0', 'file_name": "t0'))
    (output / "test").mkdir()
    for path in (output / "train").iterdir():
        (output / "test" / f"t{path.name}").write_bytes(path.read_bytes())
    channels = 1 if name == "boards" else 3
    data = Inspection(
        data_dir=str(output), resolution=192, classes=list(classes), channels=channels, batch_size=2, seed=0
    )
    images, _ = data.split("train")
    assert len(images) == 4
    targets = data.targets("train")
    assert (targets["box_label"][:] >= 0).sum() == len(annotations)
    masks, twins = targets["mask"][:], targets["template"][:]
    named = targets["box_label"][:].unique().tolist()
    assert masks.unique().tolist() == [0, *(label + 1 for label in named if label >= 0)]
    assert twins.shape == images[:].shape


@pytest.mark.parametrize("name", ["boards", "parts"])
def test_twins_are_equal_beside_the_defects(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made = drawing(request.getfixturevalue(name), tmp_path / "set")
    for number in range(3):
        scene, instances, _ = made.compose(number, made.clean_of(number))
        changed = (scene.picture != scene.clean).reshape(*scene.clean.shape[:2], -1).any(axis=2)
        near = np.zeros_like(changed)
        for instance in instances:
            if name == "boards":
                near[instance.place] |= instance.mask  # to the pixel
            else:
                near[instance.place] = True  # with its soft rim and its shadow
            assert changed[instance.place][instance.mask].mean() > 0.9
        assert instances
        assert not changed[~near].any()


def test_every_defect_of_a_board_is_of_its_level(boards: tuple[Path, Path], tmp_path: Path) -> None:
    made = drawing(boards, tmp_path / "set")
    scene, instances, _ = made.compose(0, made.clean_of(0))
    for instance in instances:
        adds_dark = made.recipe.classes[instance.name].adds == "dark"
        assert ((scene.picture[instance.place][instance.mask] < 128) == adds_dark).all()


def test_styles(parts: tuple[Path, Path], tmp_path: Path) -> None:
    faint = drawn(parts, tmp_path / "faint", style=Style(alpha=0.3))
    opaque = drawn(parts, tmp_path / "opaque")
    for number in range(2):
        one, other = (made.compose(number, made.clean_of(number))[0] for made in (faint, opaque))
        changes = [np.abs(scene.picture.astype(float) - scene.clean).max() for scene in (one, other)]
        assert changes[0] < 0.6 * changes[1]
    random = drawn(parts, tmp_path / "random", style=Style(shapes="random", place="anywhere"))
    assert any(row["instances"] for row in random.rows.values())
    for wrong in ({"alpha": 0.0}, {"shapes": "round"}, {"renderer": "blender"}):
        with pytest.raises(ValueError, match=r"alpha|choose one of"):
            Style(**wrong)  # type: ignore[arg-type]


def test_a_folder_of_something_else_is_refused(boards: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        drawing(boards, tmp_path / "full").start()
    drawn(boards, tmp_path / "set", count=1)
    with pytest.raises(ValueError, match="was begun with another recipe, seed"):
        drawing(boards, tmp_path / "set", seed=5).start()
    again = drawing(boards, tmp_path / "set", count=2)
    assert again.start() == 1  # more of the same goes on


def test_the_program_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        (
            ["draw", str(tmp_path / "no.yaml"), "--clean", str(tmp_path), "--count", "1", "-o", str(tmp_path / "o")],
            "is not there",
        ),
        (["fit", str(tmp_path), "-o", str(tmp_path / "o.txt")], "should be a .yaml file"),
        (["fit", str(tmp_path), "-o", str(tmp_path / "o.yaml")], "no boxes of defects"),
    ):
        monkeypatch.setattr(sys, "argv", ["synthesize", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[-1].startswith("error: ")
        assert message in lines[-1]


def test_a_broken_recipe_is_refused(boards: tuple[Path, Path], tmp_path: Path) -> None:
    text = boards[1].read_text()
    for old, new, message in (
        ("polymorph defects 1", "polymorph defects 9", "fit it again"),
        ("family: bump", "family: dent", "choose one of bridge"),
        ("place: matched", "place: here", "choose one of matched"),
        ("adds: dark", "adds: grey", "dark or bright"),
    ):
        file = tmp_path / "changed.yaml"
        file.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message):
            read_recipe(file)
    file.write_text("- 1")
    with pytest.raises(ValueError, match="is no recipe of defects"):
        read_recipe(file)
