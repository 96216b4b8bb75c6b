"""The page on the codec: made of lines, and lines measured of small images."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features

from docs.ledger import codec, codec_page, codec_peers, codec_picture
from docs.ledger.codec import main
from docs.ledger.codec_page import FILE, best_within, chart, page, rates
from docs.ledger.codec_peers import SETTINGS, best_copy, check_peers, curve
from docs.ledger.results import read_results
from generative.codec.rate_distortion import psnr

PACKAGES = ("constriction", "bjontegaard", "pillow_jxl")
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES), reason="needs the extra [codec]"
)
CURVE = [(0.2, 24.0), (0.4, 27.0), (0.8, 30.0), (1.6, 33.0), (3.2, 36.0)]


def photo(side: int) -> torch.Tensor:
    ramp = torch.linspace(0, 1, side)
    waves = [(6.28 * (ramp[:, None] + place * ramp[None] / 2)).sin() for place in range(3)]
    return (127.5 + 100 * torch.stack(waves)).to(torch.uint8)


def lines_of(image: str, factor: float) -> list[dict[str, Any]]:
    """Ours at ``factor`` times the bytes of JPEG, whose curve all peers share but JPEG XL, which shares no PSNR."""
    told = {"image": image, "side": 64}
    own = {"budget": "9 s", "seed": 0, "environment": {"processor": "a processor"}, "seconds": 11.0}
    own |= {"codec": "ours", "seconds_decoding": 0.5, "width": 5, "psnr_fitted": 40.0}
    lines = [
        told | own | {"asked": rate, "bytes": 1, "rate": factor * rate, "psnr": quality} for rate, quality in CURVE[:4]
    ]
    curves = {name: [[rate, quality + 60 * (name == "JXL")] for rate, quality in CURVE] for name in SETTINGS}
    return [*lines, *(told | {"codec": name, "curve": points, "seconds": 1.0} for name, points in curves.items())]


def test_a_page_of_nothing_says_what_to_type(write_results: Any) -> None:
    assert "Nothing was measured yet: `python -m docs.ledger.codec" in page()


def test_the_page_states_what_ours_takes_more(write_results: Any) -> None:
    write_results(FILE, [*lines_of("a", 0.5), *lines_of("b", 1.5)])
    text = page()
    assert "## 2 images of 64 x 64 pixels, 9 s of fitting" in text
    assert "A file takes 11.0 s of the processor to make" in text
    assert "| JPEG | 2 | +0 ± 635 % | +0 % | -50 % | +50 % | 1 of 2 |" in text
    assert "| a | -50 % | -50 % | -50 % | - |" in text
    assert "| b | +50 % | +50 % | +50 % | - |" in text
    assert "JPEG XL | 2" not in text, "shares no PSNR"
    # Of 0.8 bits a pixel, ours took 0.4 and 1.2: JPEG has 27 and 30 dB within that, ours 30 both times.
    assert "| 0.8 | 0.800 | 5 | 40.00 | 30.00 | -1.50 (2) |" in text
    assert len(chart().axes) == 2
    told = {"side": 64, "budget": "9 s", "to": "JPEG", "images": 2, "smaller": 1}
    first = rates()[0]
    assert first.items() >= told.items()
    assert (first["mean"], first["half"]) == pytest.approx((0.0, 635.3), abs=0.5)


def test_the_best_within_a_rate() -> None:
    assert best_within(CURVE, 0.8) == 30.0
    assert best_within(CURVE, 0.1) is None


def test_peers_keep_what_is_better_than_all_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_peers, "QUALITIES", (5, 50, 90))
    check_peers()
    for name in SETTINGS:
        found = curve(photo(32), name)
        sizes, quality = zip(*found.points, strict=True)
        assert list(sizes) == sorted(sizes)
        assert list(quality) == sorted(quality)
        assert quality[-1] > 25
    assert all(len(list(settings())) == count for settings, count in zip(SETTINGS.values(), (4, 1, 2, 1), strict=True))


def test_the_best_copy_is_the_frontiers_point_within_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_peers, "QUALITIES", (5, 50, 90))
    image = photo(32)
    points = curve(image, "JPEG").points
    best = best_copy(image, "JPEG", most=points[1][0])
    assert best is not None
    assert (best[0], psnr(np.asarray(image).transpose(1, 2, 0), best[1])) == points[1]
    assert best_copy(image, "JPEG", most=points[0][0] - 1) is None


def test_photos_and_their_copies_in_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_peers, "QUALITIES", (5, 50))
    monkeypatch.setattr(codec_picture, "PICTURE", tmp_path / "dfm" / "codec_picture.png")
    Image.fromarray(np.asarray(photo(32)).transpose(1, 2, 0)).save(tmp_path / "waves.png")
    codec_picture.main([str(tmp_path / "waves.png"), "--side", "16", "--rate", "8", "--seconds", "0.1"])
    with Image.open(tmp_path / "dfm" / "codec_picture.png") as picture:
        assert picture.width > 5 * 2 * 16
        assert picture.height >= 2 * 16


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(ValueError, match=r'pillow-jxl-plugin.*pip install -e "\.\[codec\]"'):
        check_peers()
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    with pytest.raises(ValueError, match="this Pillow writes no avif: pip install"):
        check_peers()


def test_an_image_is_measured_and_kept(
    write_results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(codec_peers, "QUALITIES", (5, 50))
    for module in (codec, codec_page):
        monkeypatch.setattr(module, "PAGE", tmp_path / "dfm.md")
        monkeypatch.setattr(module, "CHART", tmp_path / "dfm" / "codec.png")
    (tmp_path / "images").mkdir()
    Image.fromarray(np.asarray(photo(32)).transpose(1, 2, 0)).save(tmp_path / "images" / "waves.png")
    given = ["--images", str(tmp_path / "images"), "--side", "16", "--rates", "8", "--steps", "2"]
    for _ in range(2):  # the second time in place of the first
        main(given)
    lines = read_results(FILE)
    assert [line["codec"] for line in lines] == ["AVIF", "JPEG", "JXL", "WEBP", "ours"]
    mine = lines[-1]
    assert 200 < mine["bytes"] <= 256
    assert mine["rate"] == mine["bytes"] / 32
    assert mine["steps"] == 2
    assert "1 images of 16 x 16 pixels, 2 steps of fitting" in (tmp_path / "dfm.md").read_text()
    assert (tmp_path / "dfm" / "codec.png").exists()
