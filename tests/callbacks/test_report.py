"""The report page: what it carries, and that a real browser draws it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from callbacks.pages import thin
from callbacks.report import MAX_FRAMES, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HEADLESS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run of 30 kimg with two losses, one metric and grids of two sizes."""
    rows = ["progress/kimg,loss/critic,loss/generator,metric/fd_pixels_10,throughput/images_per_second"]
    rows += [f"{k},{1 + 1 / (k + 1)},{2 - k / 30},{30 - k if k % 10 == 0 else ''},{100 + k}" for k in range(31)]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "samples").mkdir()
    for k in range(31):
        for size in (8, 64):
            Image.new("L", (size, size), 8 * k).save(tmp_path / "samples" / f"kimg_{k:010.3f}_{size}px.png")
    (tmp_path / "results.jsonl").write_text(
        json.dumps(
            {"protocol": {"reference": "digits:all"}, "num_images": 10, "num_reference": 12, "metrics": {"fd": 0.5}}
        )
        + "\n"
    )
    return tmp_path


def page(run_dir: Path, status: str = "finished") -> str:
    config = {"seed": 0, "text": "</script><script>alert(1)</script><!-- <script>"}
    return write_report(
        run_dir, title="a <b> title", config=config, status=status, max_kimg=30, device_type="cpu"
    ).read_text()


def test_is_one_file_with_everything(run_dir: Path) -> None:
    text = page(run_dir)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text), "nothing is loaded from elsewhere"
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL)[1])
    assert data["kimg"] == 30
    assert len(data["curves"]["loss/critic"]) == 31
    assert data["curves"]["metric/fd_pixels_10"] == [[0, 30], [10, 20], [20, 10], [30, 0]]
    assert list(data["frames"]) == ["8px", "64px"]
    assert len(data["frames"]["8px"]) == MAX_FRAMES
    assert [data["frames"]["8px"][i]["kimg"] for i in (0, -1)] == [0, 30]
    assert "a &lt;b&gt; title" in text, "text is text, not markup"
    assert {"torch", "processor"} <= data["environment"].keys()


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    text = write_report(tmp_path, title="new", config={}, status="running", max_kimg=1, device_type="cpu").read_text()
    assert '"curves": {}' in text


def test_thin_keeps_both_ends() -> None:
    assert thin(list(range(5)), 10) == [0, 1, 2, 3, 4]
    kept = thin(list(range(1000)), 24)
    assert len(kept) == 24
    assert (kept[0], kept[-1]) == (0, 999)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_draws_it(run_dir: Path, tmp_path: Path) -> None:
    page(run_dir)
    assert CHROMIUM is not None

    def browse(*flags: str) -> str:
        command = [
            CHROMIUM,
            *HEADLESS,
            f"--user-data-dir={tmp_path / 'profile'}",
            *flags,
            (run_dir / "report.html").as_uri(),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    drawn = browse("--dump-dom")
    assert drawn.count("<svg") == 3, "losses share a card; a metric and the throughput have one each"
    assert drawn.count('<path d="M') == 4
    assert "30 of 30 kimg" in drawn
    assert re.search(r'<input type="range" id="frame" min="0" value="0" aria-label="time" max="23">', drawn)
    assert drawn.count('src="data:image/png;base64,') == 2, "a picture of each size is shown"
    assert "10 against 12 (digits:all)" in drawn
    assert "<script>alert(1)</script>" in re.search(r"<pre id=\"config\">(.*?)</pre>", drawn, re.DOTALL)[1].replace(
        "&lt;", "<"
    ).replace("&gt;", ">")

    browse("--window-size=1000,800", f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as screenshot:
        assert screenshot.size == (1000, 800)
        assert len(screenshot.convert("RGB").getcolors(maxcolors=2**20) or []) > 20, "not a blank page"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_the_slider_moves_through_time(run_dir: Path, tmp_path: Path) -> None:
    """Moves the slider as a user would and reads what is shown then."""
    text = page(run_dir)
    script = (
        "<script>const s = document.getElementById('frame'); s.value = 0; s.dispatchEvent(new Event('input'));"
        "document.body.dataset.when = document.getElementById('when').textContent;"
        "document.body.dataset.first = String([...document.querySelectorAll('#viewer img')]"
        ".every((image, i) => image.src === data.frames[sizes[i]][0].image));</script></body>"
    )
    (tmp_path / "moved.html").write_text(text.replace("</body>", script))
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *HEADLESS,
        f"--user-data-dir={tmp_path / 'p'}",
        "--dump-dom",
        (tmp_path / "moved.html").as_uri(),
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert 'data-when="0 kimg"' in drawn
    assert 'data-first="true"' in drawn
