"""The grid of Figure 5.1: its cells, what follows of them, its chart and its section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from docs.ledger import sizes, sizes_page
from docs.ledger.results import read_results


def cell(image: str, depth: int, width: int, *psnr: float) -> dict[str, Any]:
    return {
        "size": 64, "networks": len(psnr), "image": image, "recipe": "ours", "depth": depth, "width": width,
        "coefficients": depth * 2**width, "psnr": list(psnr), "collapsed": 0, "steps": 9,
    }  # fmt: skip


def test_falls_by_hand() -> None:
    """Neighbours differ in one of both alone, and the mean of the networks counts."""
    lines = [
        cell("a", 3, 4, 20.0, 22.0),
        cell("a", 3, 6, 23.0, 23.0),  # width 5 was not asked for
        cell("a", 6, 4, 20.0, 21.0),  # deeper and worse
        cell("a", 6, 6, 26.0, 25.0),
        cell("b", 3, 4, 30.0, 30.0),
    ]
    by_width, by_depth = sizes_page.falls(lines)
    assert (by_width["by"], by_width["pairs"], by_width["rises"], by_width["share"]) == ("width", 2, 2, 1.0)
    assert (by_width["least"], by_width["most"]) == (2.0, 5.0)
    assert (by_depth["by"], by_depth["pairs"], by_depth["rises"], by_depth["share"]) == ("depth", 2, 1, 0.5)
    assert (by_depth["least"], by_depth["most"]) == (-0.5, 2.5)
    text = "\n".join(sizes_page.section(lines))
    assert "`ours`: of 2 steps to the next depth 1 raise the mean PSNR, by -0.5 to +2.5 dB." in text
    assert "Collapsed: 0 of 10 networks." in text
    assert list(sizes_page.section([])) == []


def test_a_grid_is_fitted_kept_and_drawn(write_results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "CHART", tmp_path / "sizes.png")
    noise = torch.randint(0, 256, (8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.numpy()).save(tmp_path / "noise.png")
    grid = ["--size", "8", "--widths", "2", "3", "--depths", "1", "--networks", "2", "--steps", "3"]
    for _ in range(2):  # the second time in place of the first
        sizes.main([str(tmp_path / "noise.png"), *grid, "--recipes", "ours", "printed"])
    found = read_results(sizes_page.FILE)
    assert [(line["recipe"], line["width"], line["coefficients"]) for line in found] == [
        (recipe, width, count) for recipe in ("ours", "printed") for width, count in ((2, 16 + 24), (3, 24 + 48))
    ]
    for line in found:
        assert (
            len(set(line["psnr"])) == 2 or line["recipe"] == "printed"
        )  # another start; printed ends at the mean colour
        assert (line["steps"], line["program"]) == (3, "eager")
    assert {line["collapsed"] for line in found if line["recipe"] == "printed"} == {2}
    assert len(read_results(sizes_page.FALLS)) == 4
    sizes.main([str(tmp_path / "noise.png"), *grid[:-1], "4"])
    assert [(line["width"], line["steps"]) for line in read_results(sizes_page.FILE)] == [
        (2, 4),
        (3, 4),
    ]  # nothing of the rest
    assert (tmp_path / "sizes.png").stat().st_size > 5000
