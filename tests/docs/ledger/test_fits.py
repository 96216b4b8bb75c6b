"""The page of fitted photos: what is measured, kept and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from docs.ledger import fits, fits_page
from docs.ledger.fits import main, square
from docs.ledger.results import read_results


def test_a_photo_is_cut_to_its_middle_and_made_smaller_by_boxes(tmp_path: Path) -> None:
    wide = torch.zeros(4, 8, 3, dtype=torch.uint8)
    wide[:, 2:6] = 100
    wide[0, 2] = 140
    wide[:, 0] = 255  # outside
    Image.fromarray(wide.numpy()).save(tmp_path / "wide.png")
    Image.fromarray(wide[..., 0].numpy()).save(tmp_path / "grey.png")
    assert square(tmp_path / "wide.png", 2)[0].tolist() == [[110, 100], [100, 100]]
    assert square(tmp_path / "grey.png", 2).tolist() == [[[110, 100], [100, 100]]]


def test_methods_are_compared_at_equal_steps(
    write_results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (fits, fits_page):
        monkeypatch.setattr(module, "PAGE", tmp_path / "fits.md")
    noise = torch.randint(0, 256, (8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.numpy()).save(tmp_path / "noise.png")
    small = [str(tmp_path / "noise.png"), "--eager", "--size", "8", "--width", "3", "--depth", "2"]
    for _ in range(2):  # the second time in place of the first
        main([*small, "--steps", "2", "--seeds", "0", "1"])
    found = read_results(fits_page.FILE)
    methods = ["fourier_features", "ours", "printed", "siren"]
    assert [(line["method"], line["seed"]) for line in found] == [(name, seed) for name in methods for seed in (0, 1)]
    by_method = {line["method"]: line for line in found}
    assert by_method["ours"]["parameters"] == by_method["printed"]["parameters"] == 24 + 48 + 48
    assert by_method["siren"]["coin_bytes"] == 2 * by_method["siren"]["parameters"]
    assert {line["steps"] for line in found} == {2}
    assert by_method["printed"]["collapsed"]
    text = (tmp_path / "fits.md").read_text()
    assert "## 8 x 8 pixels, width 3, depth 2, 2 steps" in text
    assert "(collapsed)" in text
    gap = by_method["ours"]["psnr"] - by_method["siren"]["psnr"]
    other = [line["psnr"] for line in found if line["seed"] == 0]
    mean = (gap + other[1] - other[3]) / 2
    assert f"Ours less SIREN, means of the photos: from {mean:+.1f} to {mean:+.1f} dB." in text
    rows = {row["than"]: row for row in read_results(fits_page.GAPS)}
    assert rows["siren"]["least"] == rows["siren"]["most"] == pytest.approx(mean, abs=1e-3)
    assert rows["collapse"]["collapsed"] == sum(line["collapsed"] for line in found if line["method"] == "ours")
    with pytest.raises(SystemExit):
        main([str(tmp_path / "nothing.png"), "--steps", "2"])
    assert "nothing.png" in capsys.readouterr().err
