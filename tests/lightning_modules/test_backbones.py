"""Feature networks of a projected critic: their maps, what they need, and what is said where weights are missing."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from lightning_modules import backbones
from lightning_modules.backbones import DEIT, LITE, backbones_of, projected_critic

TINY = "deit_tiny_distilled_patch16_224"  # of the same kind, with a fifteenth of the weights


def images(side: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def deit_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(backbones, "DEIT_ARCHITECTURE", TINY)
    torch.manual_seed(0)
    path = tmp_path / "deit.pth"
    torch.save({"model": timm.create_model(TINY, pretrained=False).state_dict()}, path)
    return path


def test_maps_halve_and_gradients_reach_the_image() -> None:
    lite = backbones_of([LITE], side=64, deit_file=None)[LITE]
    x = images(64, channels=1).requires_grad_()
    maps = lite(x)
    assert [tuple(one.shape[1:]) for one in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    sum(one.square().mean() for one in maps).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in lite.network.parameters())
    assert len(lite.weights) == 12


def test_a_transformer_makes_a_pyramid(deit_file: Path) -> None:
    found = backbones_of([DEIT], side=64, deit_file=str(deit_file))[DEIT]
    maps = found(images(64))
    assert [tuple(one.shape[1:]) for one in maps] == [(192, 16, 16), (192, 8, 8), (192, 4, 4), (192, 2, 2)]
    # At the published size the positions are those of the file, and the maps those of timm's own model.
    whole = backbones_of([DEIT], side=224, deit_file=str(deit_file))[DEIT]
    network: Any = timm.create_model(TINY, pretrained=False).eval()
    network.load_state_dict(torch.load(deit_file, weights_only=True)["model"])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = images(224)
    shown = ((x + 1) / 2 - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    with torch.no_grad():
        expected = network.forward_intermediates(shown, indices=[8], intermediates_only=True)[0]
        assert torch.allclose(whole(x)[2], expected, atol=1e-4)
    with pytest.raises(ValueError, match=r"multiple of 32 pixels, got critic.side=48"):
        backbones_of([DEIT], side=48, deit_file=str(deit_file))


def test_what_cannot_be_had_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*words: Any, **more: Any) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    found = backbones_of([LITE, DEIT], side=64, deit_file=None)
    assert list(found) == [LITE]
    said = capsys.readouterr().err
    assert "does without deit_base_distilled" in said
    assert "critic.deit_file=<file>" in said
    with pytest.raises(ValueError, match="cannot be downloaded"):
        backbones_of([DEIT], side=64, deit_file=None)


def test_what_does_not_fit_is_refused(tmp_path: Path, deit_file: Path) -> None:
    with pytest.raises(ValueError, match="unknown backbone"):
        backbones_of(["vgg"], side=64, deit_file=None)
    with pytest.raises(ValueError, match="names no network"):
        backbones_of([], side=64, deit_file=None)
    with pytest.raises(ValueError, match="there is no weights file"):
        backbones_of([DEIT], side=64, deit_file=str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="is of deit_base_distilled"):
        backbones_of([LITE], side=64, deit_file=str(deit_file))
    torch.save([1.0], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        backbones_of([DEIT], side=64, deit_file=str(tmp_path / "list.pth"))
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"weights in .* are of another network"):
        backbones_of([DEIT], side=64, deit_file=str(tmp_path / "other.pth"))


def test_a_critic_holds_no_weights_of_its_networks() -> None:
    torch.manual_seed(0)
    critic = projected_critic(image_shape=(1, 32, 32), num_classes=3, backbones=[LITE], side=64, width=8, group_size=2)
    assert all(name.startswith("branches.") for name in critic.state_dict())
    logits = critic(images(32, channels=1), torch.tensor([0, 2]))
    assert logits.shape == (2, 100)
    assert logits.isfinite().all()
