"""The four recipes: whose gradient comes from where, what samples are made of, what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from generative.adversarial.gram import style_loss
from generative.perceptual import deep_feature_distance
from generative.rendering.images import from_uint8
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.defects.cycle import Cycle, turned
from lightning_modules.defects.drawing import Bank, Translator
from lightning_modules.defects.feature_stages import VGG_STAGES, check_features, stages_of
from lightning_modules.defects.filler import Filler, hole_distance, holes_of
from lightning_modules.defects.style_transfer import StyleTransfer
from tests.support.ranks import fit

METHODS = ("refiner", "filler", "style_transfer", "cycle")


def built(name: str, *overrides: str) -> Any:
    """Untrained, with its data: an unattached trainer knows the digits."""
    settings = ["experiment=none", f"method=defects_{name}", "datamodule=digit_defects", "run_dir=x", *overrides]
    torch.manual_seed(0)
    datamodule, method = build(plain(compose("train", settings)))
    method._trainer = SimpleNamespace(datamodule=datamodule)  # type: ignore[assignment]
    return method.eval()


def part(count: int = 6, first: int = 0) -> dict[str, Any]:
    random = torch.Generator().manual_seed(3)
    images, templates = (torch.rand(count, 1, 8, 8, generator=random) * 2 - 1 for _ in range(2))
    masks = (torch.rand(count, 8, 8, generator=random) < 0.3).to(torch.uint8)
    return {
        "image": images, "template": templates, "mask": masks, "label": torch.arange(count) % 3, "first_number": first
    }  # fmt: skip


def gradients(method: Any, network: nn.Module) -> Tensor:
    """Of the generators' loss, for all weights of ``network`` in a row."""
    if not method.inputs.is_filled:
        method.have_inputs()
    loss = method.generator_objective(part())
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return torch.cat([torch.zeros(1) if one is None else one.flatten() for one in found])


def test_the_generator_back_learns_from_the_reconstruction_alone() -> None:
    """What the critic says changes the gradient of the first generator, and not one bit of the second one's."""
    found = {weight: built("cycle", f"method.adversarial_weight={weight}") for weight in (0.0, 5.0)}
    back = [gradients(method, method.back_generator) for method in found.values()]
    assert torch.equal(*back)
    assert back[0].abs().sum() > 0
    first = [gradients(method, method.generator) for method in found.values()]
    assert not torch.allclose(*first)
    assert first[0].abs().sum() > 0, "without a critic it learns from the reconstruction"
    alone = built("cycle", "method.cycle_weight=0")
    assert gradients(alone, alone.back_generator).abs().sum() == 0
    assert gradients(alone, alone.generator).abs().sum() > 0
    # With two critics both learn from both.
    both = [built("cycle", "method.symmetric=true", f"method.adversarial_weight={weight}") for weight in (0.0, 5.0)]
    assert not torch.allclose(*(gradients(method, method.back_generator) for method in both))


def test_the_cycle_by_either_distance() -> None:
    for distance, law in {"l1": torch.abs, "l2": torch.square}.items():
        method = built("cycle", f"method.distance={distance}", "method.adversarial_weight=0")
        method.have_inputs()
        shown = part()
        clean = method.clean(shown)
        back = method.back_generator(method.draw(clean, shown))
        expected = 10.0 * law(back - clean).mean()
        torch.testing.assert_close(method.generator_objective(shown), expected)
    with pytest.raises(ValueError, match="unknown distance 'l3': choose one of l1, l2"):
        built("cycle", "method.distance=l3")


def test_faultless_images_of_the_cycle_are_addressed() -> None:
    method = built("cycle")
    method.have_inputs()
    given = part(6)
    later = {name: rows[2:5] if isinstance(rows, Tensor) else 2 for name, rows in given.items()}
    whole = method.clean(given)
    assert torch.equal(whole[2:5], method.clean(later))
    images = torch.rand(16, 1, 5, 5)
    found = turned(images, 0, seed=1)
    for one, image in zip(found, images, strict=True):
        turns = [torch.rot90(shown, k, (1, 2)) for shown in (image, image.flip(2)) for k in range(4)]
        assert sum(torch.equal(one, turn) for turn in turns) == 1
    assert not torch.equal(found, turned(images, 0, seed=2))


def test_what_a_cycle_is_to_keep_is_weighed() -> None:
    """A real defect of its own class should stay: by twice the weight the loss has twice as much more."""
    losses = {}
    for weight in (0.0, 1.0, 2.0):
        method = built("cycle", f"method.identity_weight={weight}", "method.distance=l1")
        method.have_inputs()
        losses[weight] = float(method.generator_objective(part()).detach())
    assert losses[1.0] > losses[0.0]
    assert losses[2.0] - losses[0.0] == pytest.approx(2 * (losses[1.0] - losses[0.0]), rel=1e-4)
    with pytest.raises(ValueError, match="identity_weight"):
        built("cycle", "method.identity_weight=-1")


def test_a_filler_leaves_what_is_not_masked() -> None:
    method = built("filler", "method.margin=1")
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    masks = torch.zeros(3, 8, 8, dtype=torch.uint8)
    masks[0, 2, 3] = 1
    drawn = method.translate(images, masks=masks, labels=torch.tensor([0, 1, 2]), first=0, seed=0)
    assert torch.equal(drawn[1:], images[1:]), "no mask, no change"
    changed = (drawn != images)[0, 0]
    assert changed[1:4, 2:5].all()
    assert changed.sum() == 9
    with pytest.raises(ValueError, match="a filler draws into holes: give a mask for each image"):
        method.translate(images, masks=None, labels=torch.tensor([0, 1, 2]), first=0, seed=0)


def test_the_distance_in_holes_by_hand() -> None:
    """Two pixels off by 1 and 3 in a hole of two, and an image without a hole: (1 + 9) / 2, halved."""
    images, drawn = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    drawn[0, 0, 0] = torch.tensor([1.0, 3.0])
    drawn[1] = 7.0
    holes = holes_of(torch.tensor([[[1, 2], [0, 0]], [[0, 0], [0, 0]]]), margin=0)
    assert hole_distance(drawn, images, holes).item() == pytest.approx(2.5)
    method = built("filler", "method.adversarial_weight=0")
    shown = part()
    assert isinstance(method, Filler)
    fake = method.generator(shown["image"], method.holes(shown), shown["label"])
    expected = 10.0 * hole_distance(fake, shown["image"], method.holes(shown))
    torch.testing.assert_close(method.generator_objective(shown), expected)


def test_style_transfer_compares_texture_and_features_with_the_real_one() -> None:
    method = built(
        "style_transfer", "method.adversarial_weight=0", "method.style_weight=2", "method.perceptual_weight=3"
    )
    assert isinstance(method, StyleTransfer)
    method.stages = stages_of("random", None, side=8, like=next(method.generator.parameters()))
    shown = part()
    fake = method.draw(shown)
    found, wanted = method.stages(fake), method.stages(shown["image"])
    expected = 2 * style_loss(found, wanted).mean() + 3 * deep_feature_distance(found, wanted).mean()
    torch.testing.assert_close(method.generator_objective(shown), expected)
    assert method.compare(shown["image"], shown["image"])[0] == 0
    again = stages_of("random", None, side=8, like=torch.zeros(1))(shown["image"])
    assert all(torch.equal(a, b) for a, b in zip(again, wanted, strict=True)), "its weights are the same everywhere"
    # Noise and class vary what is drawn of one faultless image.
    image = shown["template"][:1]
    drawn = [
        method.translate(image, masks=None, labels=torch.tensor([label]), first=first, seed=0)
        for label, first in ((0, 0), (0, 1), (1, 0))
    ]
    assert not torch.allclose(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], drawn[2])


def test_a_critic_that_sees_the_twin_sees_what_differs() -> None:
    method = built("style_transfer", "method.sees_twin=true", "method.style_weight=0", "method.perceptual_weight=0")
    assert method.critic.stem.weight.shape[1] == 2
    given = part()
    shown = method.shown(given["image"], given)
    assert torch.equal(shown[:, :1], given["image"])
    assert torch.equal(shown[:, 1:], given["image"] - given["template"])
    plain = built("style_transfer")
    assert plain.critic.stem.weight.shape[1] == 1
    assert plain.shown(given["image"], given) is given["image"]
    seen: list[Tensor] = []
    method.critic.register_forward_pre_hook(lambda _, words: seen.append(words[0]))
    method.stages = lambda images: [images]
    method.critic_objective(given)
    method.generator_objective(given)
    assert [tuple(images.shape[1:]) for images in seen] == [(2, 8, 8)] * 3


def test_networks_of_features(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown features 'vgg19'"):
        check_features("vgg19", None)
    for name, file in (("vgg16", None), ("random", "a.pth")):
        with pytest.raises(ValueError, match="features=vgg16 takes its weights from features_file"):
            check_features(name, file)
    from torchvision.models import vgg16

    with torch.device("meta"):
        shapes = {key: value.shape for key, value in vgg16(weights=None).state_dict().items() if "features" in key}
    torch.save({key: torch.full(shape, 0.01) for key, shape in shapes.items()}, tmp_path / "vgg.pth")
    stages = stages_of("vgg16", str(tmp_path / "vgg.pth"), side=16, like=torch.zeros(1))(torch.rand(2, 1, 16, 16))
    assert [tuple(stage.shape[1:]) for stage in stages] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert len(stages) == len(VGG_STAGES)
    assert built("style_transfer").trained_against == ()
    assert built("style_transfer", "method.features=efficientnet_lite0").trained_against == ("efficientnet_lite0",)


def test_a_bank_draws_by_number_and_class() -> None:
    bank = Bank(10, (2,))
    assert not bank.is_filled
    bank.fill(torch.arange(6, dtype=torch.uint8).repeat(2, 1).T, torch.tensor([0, 1, 2, 0, 1, 2]))
    assert bank.is_filled
    assert sorted(set(bank.rows[:, 0].tolist())) == list(range(6)), "fewer than there is room for come again"
    whole = bank.drawn(0, 40, seed=1, name="x")
    assert torch.equal(whole[10:15], bank.drawn(10, 5, seed=1, name="x"))
    assert len(set(whole[:, 0].tolist())) == 6
    labels = torch.arange(40) % 3
    of_class = bank.drawn(0, 40, seed=1, name="x", labels=labels)[:, 0]
    assert torch.equal(of_class % 3, labels)
    assert len(set(of_class.tolist())) == 6
    assert bank.drawn(0, 2, seed=1, name="x", labels=torch.tensor([7, 1]))[0].tolist() == [0, 0]
    uneven = Bank(9, (1,))
    uneven.fill(
        torch.arange(100, dtype=torch.uint8)[:, None], (torch.arange(100) < 2).long() + (torch.arange(100) < 1).long()
    )
    assert uneven.labels.bincount().tolist() == [3, 3, 3], "each class in turn, however few it has"
    assert uneven.has_classes
    uneven.fill(torch.arange(4, dtype=torch.uint8)[:, None], torch.full((4,), 2))
    assert not uneven.has_classes


@pytest.mark.parametrize("name", METHODS)
def test_samples_are_translations_of_the_inputs(name: str) -> None:
    method = built(name)
    assert isinstance(method, Translator)
    labels = torch.tensor([0, 1, 0, 1])
    images, masks = method.inputs_of(3, 4, seed=2, labels=labels)
    expected = method.translate(from_uint8(images), masks=masks, labels=labels, first=3, seed=2)
    assert torch.equal(method.sample(3, 4, seed=2, labels=labels), expected)
    datamodule: Any = method.trainer.datamodule  # type: ignore[attr-defined]
    templates = {row.numpy().tobytes() for row in datamodule.targets("train")["template"]}
    assert all(image.numpy().tobytes() in templates for image in images), "faultless twins"
    with pytest.raises(ValueError, match="draws images of 8 pixels only, got 16"):
        method.sample(0, 1, seed=0, image_size=16)


@pytest.mark.parametrize("name", METHODS)
def test_without_classes(name: str) -> None:
    """The text's refiner, filler and style transfer know none."""
    method = built(name, "method.conditional=false")
    assert method.num_classes == 0
    assert method.sample(0, 3, seed=0).shape == (3, 1, 8, 8)
    assert method.balanced_labels(0, 3) is None


@pytest.mark.parametrize(("name", "key"), [("refiner", "template"), ("filler", "mask")])
def test_data_that_lack_what_is_learned_from(name: str, key: str) -> None:
    with pytest.raises(
        ValueError, match=f"learns from images with a '{key}', and digits has none: choose data such as"
    ):
        fit(f"method=defects_{name}", "datamodule=digits", num_steps=1)


@pytest.fixture
def powers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from generative.networks.spectral import Spectral

    taken: list[int] = []
    original = Spectral.advance
    monkeypatch.setattr(Spectral, "advance", lambda self, weight: (taken.append(1), original(self, weight))[1])
    return taken


def test_the_critic_s_norms_follow_once_a_step(powers: list[int]) -> None:
    """Whatever number of parts a step takes its batch in."""
    counts = {}
    for accumulate in (1, 4):
        before = len(powers)
        _, method, _ = fit(
            "method=defects_refiner", "datamodule.batch_size=16", f"+method.accumulate={accumulate}", num_steps=2
        )
        normed = sum(parametrize.is_parametrized(layer) for layer in method.modules())
        counts[accumulate] = len(powers) - before - 15 * normed  # those of the start
        assert counts[accumulate] == 2 * normed
    assert isinstance(built("cycle"), Cycle)
