"""What all pages share: the room that pictures have, the time that writing takes, the digits of curves."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from records.pages import Pace, curves, data_address


def picture_in(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


@pytest.mark.parametrize(("share", "kind", "fits"), [(1.0, "png", True), (0.8, "jpeg", True), (0.02, "jpeg", False)])
def test_a_picture_that_is_too_large_is_shown_smaller(
    share: float, kind: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four fifths of the room hold it as JPEG; a fiftieth of it holds it smaller, in its shape."""
    path = tmp_path / "grid.png"
    Image.effect_noise((200, 100), 90).save(path)
    monkeypatch.setattr("records.pages.PICTURE_BYTES", path.stat().st_size * 4 // 3 + 4)
    address = data_address(path, share=share)
    assert address.startswith(f"data:image/{kind};base64,")
    assert len(address) <= share * (path.stat().st_size * 4 // 3 + 4) + 30
    shown = picture_in(address)
    assert (shown.size == (200, 100)) is fits
    assert shown.width / shown.height == pytest.approx(2, abs=0.2)


def test_a_picture_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    Image.new("L", (8, 8), 10).save(path)
    assert picture_in(data_address(path, share=1)).getpixel((0, 0)) == 10
    Image.new("L", (8, 8), 20).save(path)
    assert picture_in(data_address(path, share=1)).getpixel((0, 0)) == 20


def test_what_took_long_is_written_seldom() -> None:
    now = 0.0
    pace = Pace(min_seconds=10, clock=lambda: now)
    assert pace.is_due
    with pace.timed():
        now += 0.1
    now += 9
    assert not pace.is_due
    now += 1
    assert pace.is_due
    with pace.timed():
        now += 3
    now += 56
    assert not pace.is_due, "three seconds in a minute are a twentieth of it"
    now += 1
    assert pace.is_due


def test_curves_have_six_digits_and_leave_out_what_is_not_finite() -> None:
    rows = [{"progress/kimg": float(k), "a": 1 / 3, "b": float("nan")} for k in range(5)]
    assert curves(rows, max_points=3) == {"a": [[0, 0.333333], [2, 0.333333], [4, 0.333333]], "b": []}
