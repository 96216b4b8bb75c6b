"""Corruptions as functions of (seed, image number); the real ones where the extra [corruptions] is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from PIL import Image
from torch import Tensor

from datamodules import corruptions
from datamodules.corruptions import EXTRA, KINDS, SEVERITIES, corrupt, kind_of

BENCHMARK = [name for names in KINDS.values() for name in names]
IS_INSTALLED = importlib.util.find_spec("imagecorruptions") is not None
needs_package = pytest.mark.skipif(not IS_INSTALLED, reason="needs the extra [corruptions]")
PICTURE = Path(sklearn.__file__).parent / "datasets/images/china.jpg"
# Next severities may differ in kind (saturate first takes colour away) or by what is drawn (pictures of frost, clouds).
NOT_MONOTONE = {"glass_blur", "snow", "frost", "fog", "saturate"}


def stand_in_for_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise from numpy's global generator, or from a seed: how the package draws."""

    def corrupt_one(image: np.ndarray, severity: int, corruption_name: str, seed: Any = None) -> np.ndarray:
        assert (seed is not None) == (corruption_name in ("impulse_noise", "glass_blur"))
        generator: Any = np.random if seed is None else np.random.default_rng(seed)
        drawn = generator.normal(size=image.shape)
        return np.clip(image + 10 * severity * drawn, 0, 255).astype(np.uint8)

    package, cv2 = ModuleType("imagecorruptions"), ModuleType("cv2")
    package.corrupt = corrupt_one  # type: ignore[attr-defined]
    cv2.setNumThreads = lambda count: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "imagecorruptions", package)
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    monkeypatch.setattr(corruptions, "version", lambda name: "1")


def photo(side: int) -> Tensor:
    with Image.open(PICTURE) as picture:
        pixels = np.array(picture.convert("RGB").crop((0, 0, 427, 427)).resize((side, side)))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def changed(name: str, *, count: int = 4, first: int = 0, seed: int = 0, severity: int = 3, side: int = 64) -> Tensor:
    images = photo(side).repeat(count, 1, 1, 1)
    return corrupt(images, corruption=name, severity=severity, seed=seed, first_number=first)


def check_numbers(name: str) -> Tensor:
    whole = changed(name)
    assert whole.shape == (4, 3, 64, 64)
    assert whole.dtype == torch.uint8
    assert torch.equal(whole[2:], changed(name, count=2, first=2)), "the batch does not matter"
    assert torch.equal(whole[1:2], changed(name, count=1, first=1))
    return whole


@pytest.mark.parametrize("name", ["gaussian_noise", "impulse_noise"])
def test_an_image_is_a_function_of_seed_and_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_package(monkeypatch)
    whole = check_numbers(name)
    assert not torch.equal(whole[0], whole[1]), "each number has draws of its own"
    assert not torch.equal(whole, changed(name, seed=1))


def test_the_global_generator_stays_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_package(monkeypatch)
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    changed("gaussian_noise")
    assert np.random.random() == expected  # noqa: NPY002


def test_what_cannot_be_corrupted_is_said() -> None:
    with pytest.raises(
        ValueError, match=r"uint8 images \[N, 3, H, W\] of 32 pixels .* got torch.uint8 \[4, 3, 16, 16\]"
    ):
        changed("fog", side=16)
    with pytest.raises(ValueError, match="there is no corruption 'frosty'; did you mean 'frost'"):
        changed("frosty")
    with pytest.raises(ValueError, match="severity must be 1, 2, 3, 4 or 5, got 0"):
        changed("fog", severity=0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(ValueError, match=r'imagecorruptions-imaug.* pip install -e "\.\[corruptions\]"'):
        changed("fog")


def test_fifteen_in_four_kinds_and_four_more() -> None:
    assert len(set(BENCHMARK)) == 15
    assert {kind_of(name) for name in BENCHMARK} == {"noise", "blur", "weather", "digital"}
    assert {kind_of(name) for name in EXTRA} == {"extra"}
    assert len({*BENCHMARK, *EXTRA}) == 19


@needs_package
@pytest.mark.parametrize("name", [*BENCHMARK, *EXTRA])
def test_real_ones_are_functions_of_the_number_and_grow(name: str) -> None:
    check_numbers(name)
    original = photo(128)[None]
    made = [corrupt(original, corruption=name, severity=s, seed=0, first_number=9) for s in SEVERITIES]
    distances = [float((image.float() - original.float()).square().mean()) for image in made]
    assert distances[0] > 1
    assert distances[-1] > distances[0]
    if name not in NOT_MONOTONE:
        assert distances == sorted(distances)


@needs_package
def test_a_sheet_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["corruptions", str(PICTURE), str(tmp_path / "made/sheet.png")])
    corruptions.main()
    with Image.open(tmp_path / "made/sheet.png") as sheet:
        assert len(sheet.convert("RGB").getcolors(10**6) or []) > 50
    monkeypatch.setattr(sys, "argv", ["corruptions", __file__, str(tmp_path / "sheet.png")])
    with pytest.raises(SystemExit, match="2"):
        corruptions.main()
    assert "is not a readable image" in capsys.readouterr().err
