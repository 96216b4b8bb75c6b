"""The network of geometric moments against the authors' released one, the chapter's counts and its plain formulation."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.measure import moments as raw_moments
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from docs.ledger.counts import CountedNetwork, Counts
from docs.ledger.pages import CLAIMS, read_page
from generative.rendering.coordinates import coordinate_grid
from lightning_modules.dgm import layers
from lightning_modules.dgm.bases import AffinePredictor, LevelBases
from lightning_modules.dgm.convert import network_of_released, renamed
from lightning_modules.dgm.counts import published_count
from lightning_modules.dgm.layers import BLOCKS
from lightning_modules.dgm.networks import DGM, moments
from lightning_modules.dgm.plain import walk_plainly
from tests.support.released import released_outputs


def relative(ours: Tensor, theirs: np.ndarray | Tensor) -> float:
    """Largest absolute difference over largest absolute value."""
    ours, reference = ours.detach(), torch.as_tensor(theirs).detach()
    assert ours.shape == reference.shape
    return float((ours - reference).abs().max() / reference.abs().max())


def small(**changes: object) -> DGM:
    torch.manual_seed(0)
    settings: dict[str, object] = {"image_channels": 3, "num_classes": 5, "channels": 8, "blocks": [1, 1, 1]}
    network = DGM(**(settings | changes))  # type: ignore[arg-type]
    with torch.no_grad():  # statistics and slopes other than those of a fresh network
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    return network


def images(count: int = 4, size: int = 12, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2 - 1


@released_outputs("dgm_resnet18_released*.npz")
def test_released_outputs(path: Path) -> None:
    golden = np.load(path)
    network = network_of_released({key[3:]: torch.from_numpy(golden[key]) for key in golden if key.startswith("sd/")})
    x = torch.from_numpy(golden["x"])
    with torch.no_grad():
        for last in (network.last_level(x), walk_plainly(network, x)[-1]):
            assert relative(network.classify(last.moments), golden["logits"]) < 1e-5
            assert relative(last.moments, golden["moments"]) < 1e-5
            assert relative(last.map(), golden["visualisation"]) < 1e-5


def test_an_unknown_released_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'lvl2\.conv9\.weight' is no parameter of the released DGM ResNet"):
        renamed("lvl2.conv9.weight")


(TABLES,) = (claim for claim in read_page(CLAIMS / "dgm.yaml").claims if isinstance(claim, Counts))
# By row of the tables; the three that they print otherwise stand in the card.
COUNTS = [
    *(443_748, 1_370_986, 2_298_224, 3_225_462, 2_027_364),
    *(9_490_276, 11_614_070, 18_935_652, 21_059_446),
    *(9_751_528, 11_875_322, 19_196_904, 21_320_698),
    *(4_503_414, 4_764_666, 22_709_242),
]
OTHERWISE = {"5.2 ResNet-18 (w/o pooling)", "5.3 ResNet-18 (w/o pooling)", "5.5 DGM ResNet-50"}


@pytest.mark.parametrize(("name", "expected"), list(zip(TABLES.networks, COUNTS, strict=True)))
def test_parameter_counts_of_the_tables(name: str, expected: int) -> None:
    network = TABLES.networks[name]
    assert TABLES.count(network) == expected
    assert network.agrees(expected) == (name not in OTHERWISE)


def test_parameter_count_of_five_levels() -> None:
    """Table 5.8 says about 25 M."""
    settings = {"blocks": [3, 4, 6, 2, 1], "block": "bottleneck", "channels": 512, "patch_size": 8}
    network = CountedNetwork(settings={"image_channels": 3, "num_classes": 1000, **settings}, printed="25")
    assert TABLES.count(network) == 25_344_000


@pytest.mark.parametrize(("num_classes", "expected"), [(10, 11_191_068), (100, 11_214_198), (1000, 11_445_498)])
def test_parameter_count_of_the_released_code(num_classes: int, expected: int) -> None:
    with torch.device("meta"):
        network = DGM(image_channels=3, num_classes=num_classes, channels=256, blocks=[2, 2, 2, 2], variant="released")
    assert published_count(network) == expected


FORMS = [
    {"variant": "tables"},
    {"variant": "released"},
    {"variant": "tables", "affine": False},
    {"variant": "tables", "block": "separable"},
    {"variant": "released", "block": "bottleneck", "patch_size": 2},
    {"variant": "tables", "normalization": "group"},
    {"variant": "released", "normalization": "none", "block": "pointwise"},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_maps_of_the_grid_equal_pixels(form: dict) -> None:
    """Evaluation: every level, with batch norms merged and bases kept, is the plain formulation."""
    network = small(**form).eval()
    x = images()
    with torch.no_grad():
        for _ in range(2):  # the second finds the bases of level 1 kept
            for ours, plainly in zip(network.walk(x), walk_plainly(network, x), strict=True):
                assert relative(ours.moments, plainly.moments) < 1e-5
                assert relative(ours.map(), plainly.map()) < 1e-5
    # Images of other shapes than the square, too.
    wide = torch.cat([images(), images()], dim=3)
    assert relative(network.features(wide), walk_plainly(network, wide)[-1].moments) < 1e-5


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_training_gradients_equal_those_of_pixels(form: dict) -> None:
    network = small(**form).double().train()
    other = copy.deepcopy(network)
    x = images(dtype=torch.float64)
    weights = torch.randn(5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (network(x) @ weights).square().sum().backward()
    (other.classify(walk_plainly(other, x)[-1].moments) @ weights).square().sum().backward()
    for (name, ours), (_, plainly) in zip(network.named_parameters(), other.named_parameters(), strict=True):
        assert (ours.grad is None) == (plainly.grad is None), name
        if ours.grad is not None and plainly.grad.abs().max() > 1e-12:
            assert relative(ours.grad, plainly.grad) < 1e-6, name
    for (name, ours), (_, plainly) in zip(network.named_buffers(), other.named_buffers(), strict=True):
        torch.testing.assert_close(ours, plainly, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_formulation_of_a_gpu_equals_that_of_a_processor(form: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels in evaluation; losses, gradients and statistics of a training step."""
    found = []
    x = images(dtype=torch.float64)
    for folded_on in ({"cpu"}, set()):
        monkeypatch.setattr(layers, "FOLDED_ON", folded_on)
        network = small(**form).double()
        assert isinstance(layers.is_folded(x), bool)
        logits = network.train()(x)
        logits.square().sum().backward()
        gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        buffers = dict(network.named_buffers())
        with torch.no_grad():
            network.eval()
            maps = [output.map() for output in network.walk(x)]
        found.append(({"logits": logits}, gradients, buffers, dict(enumerate(maps))))
    for ours, theirs in zip(*found, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-6, atol=1e-9, msg=str(name))


class Calls(TorchDispatchMode):
    """The operations that were called, and whether any tensor lay by position."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.by_position = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        self.names.append(func.overloadpacket.__name__)
        if isinstance(result, Tensor) and result.ndim == 4 and min(result.shape) > 1:
            self.by_position |= not result.is_contiguous()
        return result


@pytest.mark.parametrize("training", [True, False])
def test_a_gpu_does_nothing_that_the_plain_formulation_does_not(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it cannot be slower there; a processor takes other operations."""
    network = small(variant="released").train(training)
    with torch.set_grad_enabled(training), Calls() as plain:
        network.classify(walk_plainly(network, images())[-1].moments)
    monkeypatch.setattr(layers, "FOLDED_ON", set())
    with torch.set_grad_enabled(training), Calls() as ours:
        network(images())
    in_place = {"relu_": "relu", "add_": "add"}
    counted = [Counter(in_place.get(name, name) for name in calls.names) for calls in (ours, plain)]
    assert not counted[0] - counted[1]
    assert not ours.by_position
    monkeypatch.undo()
    with torch.set_grad_enabled(training), Calls() as folded:
        network(images())
    assert folded.by_position
    assert "baddbmm" in folded.names


def test_kept_bases_follow_the_weights() -> None:
    network = small().eval()
    with torch.no_grad():
        before = network.features(images())
        network.bases.coordinates.weight.mul_(2.0)
        network.bases.layers[0].norm.running_mean.add_(0.3)
        network.levels[0].projection.norm.running_var.mul_(2.0)
        after = network.features(images())
        assert relative(after, walk_plainly(network, images())[-1].moments) < 1e-5
    assert not torch.allclose(before, after)


@pytest.mark.parametrize(("p", "q"), [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2)])
def test_monomial_bases_give_classical_moments(p: int, q: int) -> None:
    """With g = x^p y^q and the image as feature eq. 5.3 is the raw moment m_pq of eq. 5.2, scaled by the grid."""
    image = np.random.default_rng(3).random((17, 17))
    rows, columns = coordinate_grid(17, 17, dtype=torch.float64).unbind(-1)
    ours = moments((rows**p * columns**q * torch.from_numpy(image))[None, None])
    classical = raw_moments(image, order=p + q)[p, q] / 16 ** (p + q) / 17**2
    assert float(ours) == pytest.approx(classical, rel=1e-5)


def test_the_bases_can_be_monomials() -> None:
    """A level with weights set by hand: planes x and y, an identity for the second layer, a feature of ones."""
    bases = LevelBases(2, 2, normalization="none").double()
    with torch.no_grad():
        for layer in (bases.mix, bases.refine):
            layer.convolution.weight.copy_(torch.eye(2)[:, :, None, None])
            layer.convolution.bias.zero_()
    image = torch.from_numpy(np.random.default_rng(4).random((9, 9)))
    found = moments(bases(torch.eye(2, 3).double()[None], torch.zeros(1, 2, 9, 9).double()) * image)
    classical = raw_moments(image.numpy(), order=1) / 8 / 81
    torch.testing.assert_close(found[0], torch.tensor([classical[1, 0], classical[0, 1]]), rtol=1e-10, atol=0)


@pytest.mark.parametrize("variant", ["tables", "released"])
def test_affine_maps_compose_as_the_variant_says(variant: str) -> None:
    """`released` turns the grid of the level before, `tables` the canonical one."""
    torch.manual_seed(0)
    predictor = AffinePredictor(6, variant=variant).double()
    m = torch.randn(3, 6).double()
    turned = torch.randn(3, 2, 3).double()
    straight = torch.eye(2, 3).double().expand(3, -1, -1)
    same = torch.equal(predictor(m, straight)[1], predictor(m, turned)[1])
    assert same == (variant == "tables")


def test_without_moments_the_mean_of_the_features_is_classified() -> None:
    network = small(moments=False, blocks=[1, 2]).eval()
    h = network.stem(images())
    for blocks in (network.blocks, *network.levels):
        h = blocks(h)
    torch.testing.assert_close(network.features(images()), h.mean(dim=(2, 3)))


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_keep_the_grid(block: str) -> None:
    layers = BLOCKS[block](8, "batch")
    assert layers(torch.randn(2, 8, 7, 5)).shape == (2, 8, 7, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": "dense"}, r"unknown block 'dense': choose one of pointwise, basic, bottleneck, separable"),
        ({"variant": "paper"}, r"unknown variant 'paper'"),
        ({"normalization": "layer"}, r"unknown normalization 'layer'"),
        ({"variant": "released", "affine": False}, r"affine=false needs variant=tables"),
        ({"blocks": []}, r"blocks must name the number"),
        ({"patch_size": 0}, r"patch_size must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
    ],
    ids=str,
)
def test_bad_settings(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_an_image_that_does_not_fill_the_grid() -> None:
    with pytest.raises(ValueError, match=r"images of 12 x 12 pixels do not fill a grid of 8 x 8 patches"):
        small(patch_size=8)(images())
