"""Feature networks of a projected critic: their maps, what they need, and what is said where weights are missing."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from lightning_modules import backbones
from lightning_modules.backbones import DEIT, LITE, DeiT, Lite, projected_critic

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
    lite = Lite(64)
    x = images(64, channels=1).requires_grad_()
    maps = lite(x)
    assert [tuple(one.shape[1:]) for one in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    sum(one.square().mean() for one in maps).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in lite.network.parameters())
    assert tuple(one.shape[1] for one in maps) == tuple(lite.channels)


def test_a_transformer_makes_a_pyramid(deit_file: Path) -> None:
    maps = DeiT(64, str(deit_file))(images(64))
    assert [tuple(one.shape[1:]) for one in maps] == [(192, 16, 16), (192, 8, 8), (192, 4, 4), (192, 2, 2)]
    # At the published size the positions are those of the file, and the maps those of timm's own model.
    whole = DeiT(224, str(deit_file))
    network: Any = timm.create_model(TINY, pretrained=False).eval()
    network.load_state_dict(torch.load(deit_file, weights_only=True)["model"])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = images(224)
    shown = ((x + 1) / 2 - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    with torch.no_grad():
        expected = network.forward_intermediates(shown, indices=[8], intermediates_only=True)[0]
        assert torch.allclose(whole(x)[2], expected, atol=1e-4)


def test_what_cannot_be_had_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*words: Any, **more: Any) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    critic = projected_critic(image_shape=(3, 32, 32), backbones=[LITE, DEIT], side=64, width=8, group_size=2)
    assert len(critic.state_dict()) > 0, "a checkpoint is drawn from without the networks"
    with pytest.raises(
        ValueError, match=r"no route to host.*critic.deit_file=<file>, or do without it by critic.backbones"
    ):
        critic(images(32))


def test_what_does_not_fit_is_refused(tmp_path: Path, deit_file: Path) -> None:
    shape = (3, 32, 32)
    with pytest.raises(ValueError, match="unknown backbone"):
        projected_critic(image_shape=shape, backbones=["vgg"], side=64)
    with pytest.raises(ValueError, match="square images, grey or in colour"):
        projected_critic(image_shape=(2, 32, 32), backbones=[LITE], side=64)
    with pytest.raises(ValueError, match="is of deit_base_distilled"):
        projected_critic(image_shape=shape, backbones=[LITE], side=64, deit_file=str(deit_file))
    with pytest.raises(ValueError, match="there is no weights file"):
        DeiT(64, str(tmp_path / "absent")).load()
    torch.save([1.0], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        DeiT(64, str(tmp_path / "list.pth")).load()
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"weights in .* are of another network"):
        DeiT(64, str(tmp_path / "other.pth")).load()


def test_a_critic_holds_no_weights_of_its_networks() -> None:
    torch.manual_seed(0)
    critic = projected_critic(image_shape=(1, 32, 32), num_classes=3, backbones=[LITE], side=64, width=8, group_size=2)
    assert all(name.startswith("branches.") for name in critic.state_dict())
    logits = critic(images(32, channels=1), torch.tensor([0, 2]))
    assert logits.shape == (2, 100)
    assert logits.isfinite().all()
