"""The spaces of a PGGAN: laws of multi-code inversion, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from generative.inversion.measurements import Masked
from generative.inversion.objective import ReconstructionLoss
from generative.inversion.search import Found, Point, search, space_with
from generative.inversion.tuning import OwnWeights, Tuning, tuned_apart
from lightning_modules.pggan.growth import Stage
from lightning_modules.pggan.networks import Generator
from lightning_modules.pggan.spaces import SPACES, CodeSpace, FeatureSpace, LatentSpace

ATTENTIONS = ("none", "dot", "scaled", "cbam")
PIXELS = ReconstructionLoss("l2")


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(image_shape=(1, 16, 16), latent_dim=6, base=256, most=16).double().requires_grad_(False)
    for block in network.blocks:
        torch.nn.init.normal_(block.bias, std=0.3)
    return network


def latents(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def codes(generator: Generator, attention: str = "none", **settings: int) -> CodeSpace:
    return CodeSpace(generator, samples=latents(32), **({"num_codes": 3, "layer": 4} | settings), attention=attention)  # type: ignore[arg-type]


def moved(space: CodeSpace, first: Tensor) -> Point:
    """A point off the start at the latents ``first``: every image's own."""
    random, units = torch.Generator().manual_seed(3), space.units()
    return {
        name: part + 0.3 * units[name] * torch.randn(part.shape, generator=random, dtype=part.dtype)
        for name, part in space.at(first).items()
    }


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_length_of_importance_draws_nothing(generator: Generator, attention: str) -> None:
    space = codes(generator, attention)
    point = moved(space, latents(2, 3))
    seven = space.draw(point | {"alpha": 7 * point["alpha"]})
    torch.testing.assert_close(
        seven, space.draw(point), rtol=0, atol=1e-5
    )  # beside a mean square of 2e-3 the norm adds 1e-8


def test_one_code_of_importance_1_is_the_code_alone(generator: Generator) -> None:
    alone = LatentSpace(generator, samples=latents(32))
    z = latents(4)
    for importance in (True, False):
        space = CodeSpace(generator, samples=latents(32), num_codes=1, layer=3, importance=importance)
        point = space.at(z)
        assert ("alpha" in point) == importance
        torch.testing.assert_close(space.draw(point), alone.draw(alone.at(z)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_codes_in_a_batch_are_codes_in_a_loop(generator: Generator, attention: str) -> None:
    """As published: each code through G1 alone, one weighted sum, one pass through G2."""
    space = codes(generator, attention)
    point = moved(space, latents(2, 3))
    for image in range(2):
        own = {name: part[image : image + 1] for name, part in point.items()}
        features = torch.cat([generator.features(z[None], 4) for z in own["z"][0]])[None]
        if attention == "none":
            summed = sum(f * a[:, None, None] for f, a in zip(features[0], own["alpha"][0], strict=True))
            assert isinstance(summed, Tensor)
            expected = generator.image(summed[None], 4)
        else:
            expected = space.draw(own)
        torch.testing.assert_close(space.draw(point)[image : image + 1], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_codes_are_exchangeable(generator: Generator, attention: str) -> None:
    space = codes(generator, attention)
    point = moved(space, latents(2, 3))
    turned = point | {name: point[name].flip(1) for name in ("z", "alpha")}
    torch.testing.assert_close(space.draw(turned), space.draw(point), rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_batch_is_searched_as_its_images_one_by_one(generator: Generator, attention: str) -> None:
    space, start = codes(generator, attention), latents(3, 3)
    targets = generator(latents(3, seed=9))
    together = search(space, PIXELS.to(targets), space.at(start), steps=4)
    for image in range(3):
        alone = search(space, PIXELS.to(targets[image : image + 1]), space.at(start[image : image + 1]), steps=4)
        torch.testing.assert_close(alone.images[0], together.images[image], rtol=0, atol=1e-9)
    assert (together.losses < together.trace[0]).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_nothing_of_the_hole_is_read_and_the_generator_learns_nothing(generator: Generator, attention: str) -> None:
    space, start = codes(generator, attention), latents(2, 3)
    targets = generator(latents(2, seed=9))
    known = torch.ones(2, 1, 16, 16, dtype=torch.bool)
    known[:, :, 4:9, 3:10] = False
    planted = torch.where(known, targets, torch.nan)
    found = [search(space, PIXELS.to(t, through=Masked(known)), space.at(start), steps=3) for t in (targets, planted)]
    torch.testing.assert_close(found[0].images, found[1].images, rtol=0, atol=0)
    assert found[1].images.isfinite().all()
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_where_points_start_and_in_what_length_they_move(generator: Generator) -> None:
    space = codes(generator, "dot", num_codes=5, layer=2)
    assert space.num_latents == 5
    z = latents(2, 5)
    point, units = space.at(z), space.units()
    assert point.keys() == units.keys()
    assert torch.equal(point["z"], z)
    assert (point["alpha"] == 0.2).all()
    assert point["alpha"].shape == (2, 5, 16)
    assert units["alpha"].item() == 0.2
    assert units["key_weight"].item() == pytest.approx(0.25)  # of 16 channels
    assert units["key_bias"].item() == pytest.approx(0.25)
    for name, unit in units.items():
        assert torch.broadcast_shapes(unit.shape, point[name].shape) == point[name].shape


def test_features_themselves_can_be_searched(generator: Generator) -> None:
    space = FeatureSpace(generator, samples=latents(32), layer=3)
    z = latents(2)
    point = space.at(z)
    torch.testing.assert_close(space.draw(point), generator(z), rtol=0, atol=1e-12)
    assert space.units()["features"].shape == (16, 1, 1)
    targets = generator(latents(2, seed=9))
    found = search(space, PIXELS.to(targets), point, steps=20)
    assert (found.losses < 0.5 * found.trace[0]).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_code_alone_is_drawn_where_the_others_have_no_importance(generator: Generator, attention: str) -> None:
    space = codes(generator, attention)
    point = moved(space, latents(2, 3))
    alone = space.alone(point)
    assert alone.shape == (2, 3, 1, 16, 16)
    for code in range(3):
        alpha = torch.zeros_like(point["alpha"])
        alpha[:, code] = point["alpha"][:, code]
        torch.testing.assert_close(alone[:, code], space.draw(point | {"alpha": alpha}), rtol=0, atol=1e-9)


def test_shares_of_codes_add_up_to_1(generator: Generator) -> None:
    space = codes(generator, "cbam")
    shares = space.shares(moved(space, latents(2, 3)))
    assert shares.shape == (2, 3, 8, 8)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, 8, 8, dtype=torch.float64))


def test_a_generator_that_still_grows_can_be_searched_in_z_alone() -> None:
    half = Generator(image_shape=(1, 16, 16), latent_dim=6, base=256, most=16).double()
    half.stage = Stage(2)
    z = latents(2)
    alone = LatentSpace(half, samples=latents(32))
    torch.testing.assert_close(alone.draw(alone.at(z)), half(z), rtol=0, atol=0)
    for kind in (CodeSpace, FeatureSpace):
        with pytest.raises(ValueError, match="has grown to 8 of 16 pixels: only space z can be searched"):
            kind(half, samples=latents(32))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("z", {"num_codes": 3}, "this space has no setting num_codes: it takes none"),
        ("codes", {"codes": 3}, "this space has no setting codes: it takes num_codes, layer, importance, attention"),
        ("codes", {"num_codes": 0}, "num_codes must be at least 1, got 0"),
        ("codes", {"layer": 7}, "layer is a number of blocks from 1 to 6, got 7"),
        ("features", {"layer": 0}, "layer is a number of blocks from 1 to 6, got 0"),
        ("codes", {"attention": "heads"}, "unknown attention 'heads'"),
    ],
)
def test_settings_that_a_space_cannot_have(
    generator: Generator, name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        space_with(SPACES[name], settings, generator=generator, samples=latents(32))


@pytest.mark.parametrize("name", ["z", "codes", "features"])
def test_weights_of_each_images_own_are_tuned_as_one_by_one(generator: Generator, name: str) -> None:
    settings = {"num_codes": 2, "layer": 3, "attention": "cbam"} if name == "codes" else {}
    space = space_with(SPACES[name], settings, generator=generator, samples=latents(32))
    drawing = OwnWeights(generator, list(generator.parameters()), lambda point, _: space.draw(point))
    point, targets = space.at(latents(3, 2)[:, : space.num_latents].squeeze(1)), noise_of(space, 3)
    own = {parameter_name: value.clone() for parameter_name, value in generator.state_dict().items()}

    def found(rows: slice) -> Found:
        part = {key: value[rows] for key, value in point.items()}
        return tuned_apart(drawing, part, None, PIXELS.to(targets[rows]), Tuning(steps=3, rate=0.01))

    together = found(slice(None))
    assert (together.losses < together.trace[0]).all()
    alone = torch.cat([found(slice(row, row + 1)).images for row in range(3)])
    torch.testing.assert_close(together.images, alone, rtol=1e-9, atol=1e-9)
    assert all(torch.equal(value, own[key]) for key, value in generator.state_dict().items())
    assert all(parameter.grad is None for parameter in generator.parameters())


def noise_of(space: LatentSpace | CodeSpace | FeatureSpace, count: int) -> Tensor:
    shape = space.draw(space.at(latents(1, space.num_latents).squeeze(1))).shape[1:]
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
