"""The page about many runs: what it says of each, what it does not compare, and that a browser draws it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from records.comparison import find_runs, names, write_comparison
from tests.callbacks.test_report import CHROMIUM, HEADLESS
from tests.conftest import ROOT

PROTOCOL = {"extractor": "pixels", "reference": "digits:all", "reference_hash": "ab", "image_shape": [1, 8, 8]}


def make_run(folder: Path, *, rate: float, kimg: int = 10, fd: float = 5.0, extractor: str = "pixels") -> Path:
    """A run of at most 10 kimg, as train.py leaves it."""
    (folder / "samples").mkdir(parents=True)
    config = {"seed": 0, "max_kimg": 10, "run_dir": str(folder), "method": {"optimizer": {"lr": rate}, "width": 8}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    rows = [f"{k},{1 / k},{fd + 10 - k},{fd + 10 - k},{1e-4 * 10**k},{100 + k}" for k in range(1, kimg + 1)]
    header = "progress/kimg,loss/critic,metric/fd_pixels_9,best/fd_pixels_9,penalty/r1,throughput/images_per_second"
    (folder / "metrics.csv").write_text("\n".join([header, *rows]) + "\n")
    for k in (0, kimg):
        Image.new("L", (8, 8), k).save(folder / "samples" / f"kimg_{k:010.3f}_8px.png")
    if kimg == 10:
        record = {"protocol": PROTOCOL | {"extractor": extractor}, "metrics": {"fd": fd}, "kimg": 10.0}
        (folder / "results.jsonl").write_text(json.dumps(record | {"num_images": 9, "num_reference": 9}) + "\n")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two whole runs, one measured otherwise, and four that did not get that far."""
    folder = tmp_path / "runs"
    make_run(folder / "a", rate=0.001)
    make_run(folder / "deep" / "b", rate=0.002, fd=3.0)
    make_run(folder / "c", rate=0.001, fd=4.0, extractor="inception")
    killed = make_run(folder / "killed", rate=0.001, kimg=4)
    with (killed / "metrics.csv").open("a") as file:
        file.write("5,0.2,1e-")
    failed = make_run(folder / "failed", rate=0.001, kimg=2)
    (failed / "failure.json").write_text(json.dumps({"kind": "non_finite", "message": "loss/critic = nan </script>"}))
    with (failed / "metrics.csv").open("a") as file:
        file.write("3,nan,15,12,inf,9\n")
    (folder / "started").mkdir()
    (folder / "started" / "config.yaml").write_text("seed: 0\nmax_kimg: 10\n")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "config.yaml").write_text("seed: [0\n")
    return folder


def page_data(page: Path) -> dict[str, Any]:
    found = re.search(r'type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_says_what_each_run_is(runs: Path, tmp_path: Path) -> None:
    (runs / "empty").mkdir()
    page = tmp_path / "pages" / "page.html"
    write_comparison(find_runs([runs, runs / "a", runs / "empty"]), page)
    assert not re.search(r"""(src|href)=["'](?!data:)""", page.read_text()), "nothing is loaded from elsewhere"
    data = page_data(page)
    by_name = {run["name"]: run for run in data["runs"]}
    assert list(by_name) == ["a", "c", "damaged", "deep/b", "failed", "killed", "started", "empty"], "each once"
    states = {name: run["state"] for name, run in by_name.items()}
    assert states.pop("damaged").startswith("cannot be read: while parsing a flow sequence")
    assert states == {
        "a": "trained",
        "c": "trained",
        "deep/b": "trained",
        "failed": "failed: loss/critic = nan </script>",
        "killed": "unfinished",
        "started": "nothing logged yet",
        "empty": "empty folder",
    }
    assert by_name["killed"]["curves"]["loss/critic"] == [[k, pytest.approx(1 / k)] for k in (1, 2, 3, 4)]
    assert by_name["failed"]["last"]["loss/critic"] == "nan", "a page can hold it"
    assert [kimg for kimg, _ in by_name["failed"]["curves"]["loss/critic"]] == [1, 2]
    assert by_name["a"]["last"]["best/fd_pixels_9"] == 5
    assert [grid["kimg"] for grid in by_name["killed"]["grids"]] == [4], "the last one"
    assert data["differing"] == ["method.optimizer.lr", "method.width"], "where a run lies is no setting"
    assert by_name["deep/b"]["settings"]["method.optimizer.lr"] == "0.002"
    assert data["shared"] == {"seed": "0", "max_kimg": "10"}, "every setting stands on the page, those of all runs once"
    assert data["lowerIsBetter"] == {"fd_pixels_9": True}


def test_other_protocols_stand_in_other_tables(runs: Path, tmp_path: Path) -> None:
    write_comparison(find_runs([runs / "a", runs / "c", runs / "deep"]), tmp_path / "page.html")
    data = page_data(tmp_path / "page.html")
    first, other = data["results"]
    assert {row["run"]: row["metrics"]["fd"] for row in first["rows"]} == {0: 5.0, 2: 3.0}
    assert first["differences"] == []
    assert first["protocol"] == "9 images against 9 of digits:all, pixels"
    assert [row["run"] for row in other["rows"]] == [1]
    assert other["differences"] == ["extractor: 'pixels' against 'inception'"]


def test_every_measurement_of_a_run_has_its_row(runs: Path, tmp_path: Path) -> None:
    """The best state beside the last, other samples of the same state; the same measured again stands once."""
    facts = {"protocol": PROTOCOL, "num_images": 9, "num_reference": 9, "kimg": 10.0}
    measured = [
        facts | {"checkpoint": "last.ckpt", "sample_seed": 1, "metrics": {"fd": 5.0}},
        facts | {"checkpoint": "last.ckpt", "sample_seed": 2, "metrics": {"fd": 5.5}},
        facts | {"checkpoint": "best.ckpt", "sample_seed": 1, "metrics": {"fd": 4.0}, "kimg": 6.0},
        facts | {"checkpoint": "last.ckpt", "sample_seed": 1, "metrics": {"fd": 5.1, "recall": 0.5}},
    ]
    (runs / "a" / "results.jsonl").write_text("".join(json.dumps(record) + "\n" for record in measured))
    write_comparison([runs / "a", runs / "deep" / "b"], tmp_path / "page.html")
    (table,) = page_data(tmp_path / "page.html")["results"]
    rows = [(row["run"], row["kimg"], row["sample_seed"], row["metrics"]) for row in table["rows"]]
    assert rows == [
        (0, 10, 1, {"fd": 5.1, "recall": 0.5}), (0, 10, 2, {"fd": 5.5}), (0, 6, 1, {"fd": 4.0}), (1, 10, None, {"fd": 3.0})
    ]  # fmt: skip


def test_many_runs_stay_within_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures and curves have a budget of the page, not of each run."""
    noise = Image.effect_noise((200, 160), 90)
    folders = [make_run(tmp_path / str(k), rate=k) for k in range(12)]
    for folder in folders:
        noise.save(folder / "samples" / "kimg_000010.000_8px.png")
    monkeypatch.setattr("records.pages.PICTURE_BYTES", 60_000)
    monkeypatch.setattr("records.comparison.MAX_CURVE_POINTS", 12 * 6 * 4)
    write_comparison(folders, tmp_path / "page.html")
    found = page_data(tmp_path / "page.html")["runs"]
    pictures = [grid["image"] for run in found for grid in run["grids"]]
    assert len(pictures) == 12
    assert 20_000 < sum(map(len, pictures)) <= 60_000
    assert sum(len(line) for run in found for line in run["curves"].values()) <= 12 * 6 * 4
    assert all([kimg for kimg, _ in run["curves"]["loss/critic"]][::3] == [1, 10] for run in found), "both ends"


def test_names_are_short_and_different(tmp_path: Path) -> None:
    assert names([tmp_path / "x" / "1", tmp_path / "y" / "1"]) == ["x/1", "y/1"]
    assert names([tmp_path / "x" / "1"]) == ["1"]


def test_the_program_needs_no_torch_and_names_a_folder_that_is_not_there(
    runs: Path, program: Callable, tmp_path: Path
) -> None:
    done = program("compare.py", str(runs / "a"), str(runs / "deep" / "b"), "-o", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'page.html'}: 2 runs\n"
    for name in ("a.log", "deep.log"):
        (runs / name).write_text("the output of a trial lies beside its folder")
    done = program("compare.py", *(str(runs / name) for name in ("a", "a.log", "deep", "deep.log")), "-o", "page.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"passed over 2 of 4, which are files and no run folders: {runs / 'a.log'} and others\npage.html: 2 runs\n"
    )
    done = program("compare.py", str(runs / "a.log"), "-o", "none.html")
    assert (done.returncode, done.stderr.count("\n"), Path("none.html").exists()) == (2, 2, False)
    assert "there is no run folder to compare" in done.stderr
    done = program("compare.py", str(runs / "nowhere"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 2), "that it starts, and why it ends"
    assert f"error: there is no run folder {runs / 'nowhere'}" in done.stderr
    code = "import compare, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0, "fifty runs in a few seconds"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_draws_it(runs: Path, tmp_path: Path) -> None:
    """Also points at a curve, leaves a run out and sorts, as a user would."""
    write_comparison(find_runs([runs]), tmp_path / "page.html")
    script = """<script>
    const svg = document.querySelector("#curves svg"), box = svg.getBoundingClientRect();
    svg.dispatchEvent(new MouseEvent("mousemove", {clientX: box.right - 5, clientY: box.bottom - 20}));
    document.body.dataset.hint = svg.parentNode.querySelector(".hint").textContent;
    document.body.dataset.before = document.querySelectorAll("#curves path").length;
    document.querySelectorAll("#runs tr")[1].dispatchEvent(new MouseEvent("mouseenter"));
    document.body.dataset.picked = document.querySelectorAll("#curves svg.pointed path.near").length;
    document.querySelector("#runs input").click();
    document.body.dataset.after = document.querySelectorAll("#curves path").length;
    [...document.querySelectorAll("#runs th.head")].find(cell => cell.textContent === "best fd_pixels_9").click();
    document.body.dataset.sorted = [...document.querySelectorAll("#runs th.run")].map(cell => cell.textContent).join(" ");
    </script></body>"""
    page = tmp_path / "page.html"
    page.write_text(page.read_text().replace("</body>", script))
    assert CHROMIUM is not None
    command = [CHROMIUM, *HEADLESS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    facts = dict(re.findall(r'data-(\w+)="([^"]*)"', drawn))
    assert facts["hint"] == "deep/b · 3 at 10 kimg"
    # Four kinds of curves of five runs; without the first, of four.
    assert (facts["before"], facts["after"]) == ("20", "16")
    assert facts["picked"] == "4", "the curves of the first run"
    assert facts["sorted"] == "deep/b c a killed failed damaged started", "those without a value last"
    assert "penalty/r1<small> log</small>" in drawn
    assert drawn.count('alt="samples of ') == 4
    assert re.search(r'<td class="number first" title="3">3</td>', drawn), "the best stands out"
    assert "Not the protocol of the first table, do not compare: extractor" in drawn
    assert drawn.count("<td>10</td>") == 1, "the budget, the same in all that have one, stands under the settings"
    assert '<td class="state bad">failed: loss/critic = nan &lt;/script&gt;</td>' in drawn
