"""python -m generative.priors.solve: what it writes, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generative.priors.density_file import DensityFile
from generative.priors.solution_tables import ablations, other_laws, solved
from generative.priors.solve import main
from generative.priors.solver import variance


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the command writes, of one ablation."""
    folder = tmp_path_factory.mktemp("solved")
    other = folder.parent / "two.npy"
    np.save(other, np.array([0.5, 0.5]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "generative.priors.solution_tables.ablations",
            lambda bins, target: iter([("start", bins, target, {"start": "delta", "symmetric": False})]),
        )
        main(
            ["--output", str(folder), "--bins", "64", "--xi", "0.3", "--ablations", "--compare", "uniform", str(other)]
        )
    return folder


def test_everything_is_written(folder: Path) -> None:
    pictures = {"density.png", "costs.png", "comparison.png"}
    assert {path.name for path in folder.iterdir()} == pictures | {"density.npz", "divergences.md", "ablations.md"}
    for name in pictures:
        Image.open(folder / name).verify()


def test_the_file_has_the_density_and_its_facts(folder: Path) -> None:
    stored, expected = np.load(folder / "density.npz"), solved(64, 0.3 * 64)
    np.testing.assert_allclose(
        stored["density"], expected.density, rtol=1e-12
    )  # another process may sum in another order
    read = DensityFile(path=str(folder / "density.npz")).density  # it is normalised once more
    np.testing.assert_allclose(read, stored["density"], rtol=1e-12)
    assert stored["costs"].tolist() == pytest.approx(expected.costs, rel=1e-9)
    assert stored["exact_kl"] == stored["costs"][-1]
    assert stored["paper_kl"] != stored["exact_kl"]
    assert stored["variance_over_n"] == pytest.approx(0.3, abs=1e-9)
    assert bool(stored["settled"])


def test_the_page_has_every_law_and_every_lambda(folder: Path) -> None:
    lines = (folder / "divergences.md").read_text().splitlines()
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in lines if line.startswith("| ")}
    assert {"uniform", "normal", "truncated_cauchy", "non-parametric", str(folder.parent / "two.npy")} < set(rows)
    assert {"1/2", "1/3", "1/4", "1/8", "2/5", "3/8", "5/4", "3/2"} < set(rows)
    assert rows["normal"][2] == "0.1544"  # as the chapter prints
    assert rows["non-parametric"][3] == rows["1/2"][1]
    assert rows["5/4"][2] == "infinite"
    assert "objective exact" in lines[0]
    assert "xi 0.3" in lines[0]


def test_a_row_an_ablation(folder: Path) -> None:
    lines = (folder / "ablations.md").read_text().splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| start | exact | missed | delta | no | 64 | 0.3 | ")


def test_laws_to_compare_with_have_the_variance_of_the_solved_one() -> None:
    found = other_laws(1024, 768.0)
    assert [variance(found[name]) for name in ("normal", "truncated_cauchy")] == pytest.approx([768.0] * 2, rel=1e-9)


def test_ablations_vary_what_the_chapter_names() -> None:
    found = list(ablations(1024, 768.0))
    assert {what for what, *_ in found} == {"divergence", "unimodal", "xi", "bins", "start"}
    relative = {bins: target / bins**2 for what, bins, target, _ in found if what == "bins"}
    assert relative == dict.fromkeys((64, 256, 1024), 768.0 / 1024**2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bins", "65"], "bins must be an even number of at least 2, got 65"),
        (["--bins", "64", "--xi", "99"], "xi 99 is not feasible with 64 bins"),
        (["--bins", "64", "--xi", "0.3", "--compare", "gamma.npz"], "there is no density gamma.npz"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--output", str(tmp_path / "out"), *arguments])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()
