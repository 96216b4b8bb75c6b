"""Published PGGAN weights: outputs of the mirror, both forms of its files, arrays by the official names, and faults."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_modules.pggan.convert import generator_of_official, generator_of_released, released_of_generator
from lightning_modules.pggan.growth import Stage
from lightning_modules.pggan.networks import Generator
from tests.support.released import released_outputs


def made() -> Generator:
    torch.manual_seed(0)
    network = Generator(image_shape=(3, 16, 16), latent_dim=6, base=128, most=12)
    for block in [*network.blocks, *network.to_image]:
        torch.nn.init.normal_(block.bias)
    return network.requires_grad_(False)


@released_outputs("pggan_generator*.npz")
def test_released_outputs(path: Path) -> None:
    """At a lod of 0.4 the mirror draws the level below, doubled: it knows no transition."""
    golden = np.load(path)
    network = generator_of_released({key[3:]: torch.from_numpy(golden[key]) for key in golden if key.startswith("sd/")})
    z = torch.from_numpy(golden["z"])
    assert network.stage == Stage(network.levels - math.ceil(float(golden["lod"])))
    features = [key for key in golden if key.startswith("features_layer")]
    assert features
    with torch.no_grad():
        found = {"image": network(z)} | {key: network.features(z, int(key[14:]) + 1) for key in features}
    for key, values in found.items():
        np.testing.assert_allclose(values.numpy(), golden[key], rtol=0, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("fused", [False, True])
def test_the_mirrors_two_forms_round_trip(fused: bool) -> None:
    network = made()
    released = released_of_generator(network, fused=fused)
    assert ("layer2.weight" in released) == fused
    again = generator_of_released(released)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    z = torch.randn(3, 6)
    torch.testing.assert_close(again(z), network(z), rtol=0, atol=1e-6)


def test_the_fused_form_is_a_kernel_that_scatters() -> None:
    """As its users apply it: padded, summed over its four shifts, a transposed convolution of stride 2."""
    network = made()
    weight = F.pad(released_of_generator(network, fused=True)["layer2.weight"], (0, 0, 0, 0, 1, 1, 1, 1))
    summed = weight[1:, 1:] + weight[:-1, 1:] + weight[1:, :-1] + weight[:-1, :-1]
    x, block = torch.randn(2, 12, 4, 4), network.blocks[2]
    expected = F.conv_transpose2d(x, summed.permute(2, 3, 0, 1) * block.scale, stride=2, padding=1)
    torch.testing.assert_close(block(x), expected + block.bias[:, None, None], rtol=0, atol=1e-5)


def official(network: Generator) -> dict[str, np.ndarray]:
    """Our weights as TensorFlow would hold them: kernels [k, k, in, out], the first one dense."""
    arrays: dict[str, np.ndarray] = {}
    for number, block in enumerate(network.blocks):
        side = 4 * 2 ** (number // 2)
        name = {0: "Dense", 1: "Conv"}.get(number, f"Conv{number % 2}")
        weight = block.weight.numpy()
        if number == 0:  # z at one place: the value at (i, j) is the kernel's at (3 - i, 3 - j)
            dense = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
            arrays[f"{side}x{side}/Dense/weight"] = dense.reshape(dense.shape[0], -1)
        else:
            arrays[f"{side}x{side}/{name}/weight"] = weight.transpose(2, 3, 1, 0)
        arrays[f"{side}x{side}/{name}/bias"] = block.bias.numpy()
    for level, layer in enumerate(network.to_image):
        lod = network.levels - 1 - level
        arrays[f"ToRGB_lod{lod}/weight"] = layer.weight.numpy().transpose(2, 3, 1, 0)
        arrays[f"ToRGB_lod{lod}/bias"] = layer.bias.numpy()
    return arrays


def test_arrays_by_the_official_names() -> None:
    network, z = made(), torch.randn(3, 6)
    arrays = official(network)
    again = generator_of_official(arrays)
    torch.testing.assert_close(again(z), network(z), rtol=0, atol=1e-6)
    up = arrays.pop("8x8/Conv0/weight")
    arrays["8x8/Conv0_up/weight"] = up[::-1, ::-1].transpose(0, 1, 3, 2)  # [k, k, out, in] of a transposed convolution
    arrays["8x8/Conv0_up/bias"] = arrays.pop("8x8/Conv0/bias")
    torch.testing.assert_close(generator_of_official(arrays)(z), network(z), rtol=0, atol=1e-6)
    # The official dense layer: [B, in] -> [B, out, 4, 4].
    dense = torch.from_numpy(official(network)["4x4/Dense/weight"].copy())
    expected = (z @ dense).view(3, -1, 4, 4) * network.blocks[0].scale + network.blocks[0].bias[:, None, None]
    torch.testing.assert_close(network.blocks[0](z[:, :, None, None]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layer9.conv.weight": torch.zeros(8, 8, 3, 3)}, "blocks.9.weight is left over"),
        ({"mapping.weight": torch.zeros(3)}, "'mapping.weight' is no parameter of a released PGGAN generator"),
        (
            {"layer3.conv.weight": torch.zeros(12, 12, 5, 5)},
            "blocks.3.weight has the shape (12, 12, 5, 5), and (12, 12, 3, 3)",
        ),
        ({"layer2.conv.weight": None}, "the weights lack blocks.2.weight"),
        ({"layer0.conv.weight": None}, "no weights of a generator of 8 x 8 pixels or more"),
        ({"layer3.wscale.bias": torch.zeros(5)}, "channels [12, 5, 8] from 4 x 4 pixels up are none of a PGGAN"),
        (
            {"layer2.weight": torch.zeros(3)},
            "'layer2.weight' has the shape (3,): a kernel [3, 3, in, out] was expected",
        ),
        (
            {"layer0.conv.weight": torch.zeros(12)},
            "blocks.0.weight has the shape (12,), and 4 dimensions were expected",
        ),
        ({"layer3.wscale.bias": torch.zeros(())}, "blocks.3.bias has the shape (), and 1 dimensions were expected"),
        ({"lod": torch.zeros(2)}, "lod is one number, got tensor([0., 0.])"),
        ({"lod": torch.tensor(5.0)}, "lod 5 is no level of a network with 3 sizes"),
        ({"layer1.conv.weight": "a pickled object"}, "'layer1.conv.weight' is no array of weights but str"),
    ],
)
def test_what_does_not_fit_is_one_sentence(changed: dict[str, torch.Tensor | None], message: str) -> None:
    released = released_of_generator(made()) | changed
    with pytest.raises(ValueError, match=re.escape(message)):
        generator_of_released({name: value for name, value in released.items() if value is not None})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"8x8/Conv7/weight": np.zeros(3)}, "'8x8/Conv7/weight' is no array of an official PGGAN generator"),
        ({"8x8/Conv0/weight": np.zeros(3)}, "'8x8/Conv0/weight' has the shape (3,)"),
        ({"lod": np.zeros(())}, "'lod' is no array"),
        ({"0x0/Conv1/bias": np.zeros(3)}, "'0x0/Conv1/bias' is no array"),
        ({"4x4/Dense/weight": np.zeros((6, 7))}, "'4x4/Dense/weight' has the shape (6, 7)"),
    ],
)
def test_official_arrays_that_do_not_fit(changed: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        generator_of_official(official(made()) | changed)
    with pytest.raises(ValueError, match="hold no block of an official PGGAN generator"):
        generator_of_official({"ToRGB_lod0/bias": np.zeros(3)})
