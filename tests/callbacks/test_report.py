"""The report page: what it carries, and that a real browser draws it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from callbacks.report import Report
from records.pages import thin
from records.report import MAX_FRAMES, write_report

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
    Image.new("L", (8, 8), 200).save(tmp_path / "samples" / "real_images.png")
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


def test_large_pictures_stay_within_the_page(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their number and size: 338 MB were 24 grids at 256 pixels."""
    for k in range(31):
        for size in (8, 64):
            Image.effect_noise((300, 200), 90).save(run_dir / "samples" / f"kimg_{k:010.3f}_{size}px.png")
    Image.effect_noise((300, 200), 90).save(run_dir / "samples" / "real_images.png")
    monkeypatch.setattr("records.pages.PICTURE_BYTES", 400_000)
    text = page(run_dir)
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.DOTALL)[1])
    pictures = [frame["image"] for frames in data["frames"].values() for frame in frames] + [data["real"]]
    assert len(pictures) == 2 * MAX_FRAMES + 1
    assert 200_000 < sum(map(len, pictures)) <= 400_000
    assert len(text) < 450_000


def test_a_page_that_takes_long_is_written_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred steps of a second with a page that takes two: no more than 5 % of the time goes into it."""
    now = 0.0
    written = []

    def slow(*_: Any, **__: Any) -> None:
        nonlocal now
        written.append(now)
        now += 2.0

    monkeypatch.setattr("callbacks.report.write_report", slow)
    report = Report(run_dir=str(tmp_path), title="a", max_kimg=9, every_kimg=1)
    monkeypatch.setattr(report.pace, "clock", lambda: now)
    trainer: Any = SimpleNamespace(is_global_zero=True, sanity_checking=False, loggers=[])
    method: Any = SimpleNamespace(crossed=lambda _: True, run_config={}, device=torch.device("cpu"))
    report.on_train_start(trainer, method)
    for _ in range(100):
        now += 1.0
        report.on_train_batch_end(trainer, method)
    assert written == [0, 40, 80]
    report.on_train_end(trainer, method)
    assert len(written) == 4, "the last one is always written"


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
    assert drawn.count('src="data:image/png;base64,') == 3, "a picture of each size is shown, and the real images"
    alternatives = re.findall(r'alt="((?:samples|real)[^"]*)"', drawn)
    assert alternatives == ["samples at 8px", "real images", "samples at 64px"], (
        "beside the samples of the smallest size"
    )
    assert 'id="shrunk" hidden' in drawn, "all pictures are whole"
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
        "document.body.dataset.first = String([...document.querySelectorAll('#viewer img[alt^=samples]')]"
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
