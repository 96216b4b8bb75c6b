"""Extractors: the weights they load, the pixels they see, the sizes they promise."""

from __future__ import annotations

import hashlib
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch_fidelity import calculate_metrics
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from generative.precision import full_precision
from metrics import features
from metrics.features import (
    DinoV2,
    EfficientNetLite,
    FromClassifier,
    Inception,
    RandomInception,
    RandomNetwork,
    default_extractor,
    hash_of_tensors,
    make_extractor,
    resampled_positions,
)
from metrics.quality import GenerationQuality, Settings
from tests.conftest import ROOT

PHOTOS = ROOT.parent / "shared" / "data" / "imagenet_sample_256.tar"


def noise(count: int, *shape: int, seed: int = 0) -> torch.Tensor:
    """Smooth random images: noise of few pixels, enlarged."""
    small = torch.rand(count, shape[0], 6, 6, generator=torch.Generator().manual_seed(seed))
    return (255 * F.interpolate(small, size=shape[1:], mode="bicubic").clamp(0, 1)).round().to(torch.uint8)


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Well-scaled random convolutions in the format of the published file."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "empty.pth")
    network = RandomNetwork("inception", ["2048"], str(folder / "empty.pth"))
    torch.save(network.state_dict(), folder / "inception.pth")
    return folder / "inception.pth"


class Pictures(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


@pytest.mark.soak
def test_inception_agrees_with_torch_fidelity_from_end_to_end(inception_weights: Path) -> None:
    """Its own program on the same file and the same 20 images against 12 others: FID and Inception score."""
    first, second = noise(20, 3, 48, 48), (0.7 * noise(12, 3, 48, 48, seed=1).float() + 40).to(torch.uint8)
    theirs = calculate_metrics(
        input1=Pictures(first), input2=Pictures(second), fid=True, isc=True, cuda=False, verbose=False, isc_splits=1,
        feature_extractor_weights_path=str(inception_weights), cache=False, batch_size=32, save_cpu_ram=True,
    )  # fmt: skip
    extractor = Inception(inception_weights)
    quality = GenerationQuality(extractor, metrics=["fd", "sfd", "is"], settings=Settings(num_splits=1))
    pooled = {}
    for is_real, images in ((False, first), (True, second)):
        outputs = [extractor(part) for part in images.split(32)]
        features = {name: torch.cat([output[name] for output in outputs]) for name in extractor.provides}
        quality.update(features, real=is_real, numbers=torch.arange(len(images)))
        pooled[is_real] = features["features"]
    ours = quality.compute()
    assert ours["fd"] > 0.01
    assert ours["sfd"] > 0.001
    assert ours["is"] > 1.0001
    # Of so few images theirs takes the eigenvalues of a product of singular matrices: good to some six digits.
    assert ours["fd"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert ours["is"] == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    statistics = [fid_features_to_statistics(pooled[is_real].double()) for is_real in (False, True)]
    on_our_features = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert ours["fd"] == pytest.approx(on_our_features, rel=1e-4)


def test_spatial_features_are_seven_channels_of_the_named_block(inception_weights: Path) -> None:
    extractor = Inception(inception_weights)
    seen: list[torch.Tensor] = []
    extractor.network.Mixed_6c.register_forward_hook(lambda module, inputs, output: seen.append(output))
    spatial = extractor(noise(2, 1, 32, 32))["spatial"]
    assert spatial.shape == (2, 7 * 17 * 17)
    block = extractor.network.Mixed_6d.branch1x1
    by_hand = F.relu(block.bn(F.conv2d(seen[0], block.conv.weight)))[:, :7].flatten(1)
    torch.testing.assert_close(spatial, by_hand, rtol=1e-5, atol=1e-6)
    assert spatial.min() == 0
    assert spatial.std() > 1e-3


def test_random_inception_is_the_same_everywhere_and_not_collapsed() -> None:
    state = torch.get_rng_state()
    first, second = RandomInception(None), RandomInception(None)
    assert torch.equal(torch.get_rng_state(), state), "the global random state moved"
    assert first.weights == second.weights
    assert first.name == "inception_random"
    features = first(noise(4, 3, 32, 32))["features"]
    assert features.std(dim=0).mean() > 1e-2, "default initialisation would shrink them to 1e-8"
    assert not torch.allclose(features[0], features[1], rtol=1e-3)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "inception"])
def test_making_an_extractor_leaves_the_random_state(name: str, inception_weights: Path) -> None:
    state = torch.get_rng_state()
    weights = inception_weights if name == "inception" else None
    extractor = make_extractor(name, image_shape=(3, 8, 8), weights=weights)
    assert torch.equal(torch.get_rng_state(), state)
    if name == "inception":
        assert extractor.name == f"inception_{extractor.weights[:4]}", "other weights, another name: no FID"


def test_the_published_name_is_earned_by_content(
    inception_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights under the published file's name are no FID, neither given nor found where downloads lie."""
    published = tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    published.parent.mkdir()
    published.hardlink_to(inception_weights)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    other = f"{hash_of_tensors(Inception(published).network)[:4]}"
    assert [Inception(path).name for path in (published, None)] == [f"inception_{other}"] * 2
    assert RandomInception(published).name == f"inception_random_{other}"
    monkeypatch.setattr(features, "PUBLISHED_INCEPTION", hashlib.sha256(published.read_bytes()).hexdigest())
    assert Inception(inception_weights).name == "inception", "whatever its file is called"


def test_features_do_not_depend_on_the_precision_around_them() -> None:
    extractor = EfficientNetLite(0)
    images = noise(1, 3, 32, 32)
    expected = extractor(images)["features"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extractor(images)["features"], expected)
    torch.set_float32_matmul_precision("medium")
    try:
        with full_precision("cpu"):
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.backends.cudnn.enabled
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_inception_says_what_to_do_without_its_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from urllib.error import URLError

    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", no_network)
    with pytest.raises(
        ValueError, match=r"neither read nor downloaded: fetch weights-inception-\S+\.pth .* weights=<file>"
    ):
        make_extractor("inception", image_shape=(3, 8, 8))
    with pytest.raises(ValueError, match="there is no weights file nowhere"):
        make_extractor("inception", image_shape=(3, 8, 8), weights=Path("nowhere"))
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth are not those of torch-fidelity's InceptionV3"):
        make_extractor("inception", image_shape=(3, 8, 8), weights=tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("text")
    with pytest.raises(ValueError, match=r"text\.pth cannot be read as tensors and plain data"):
        make_extractor("inception", image_shape=(3, 8, 8), weights=tmp_path / "text.pth")


@pytest.mark.parametrize(("size", "num_tensors"), [(0, 296), (1, 386), (2, 386)])
def test_every_tensor_of_efficientnet_lite_is_mapped(size: int, num_tensors: int) -> None:
    """Shapes are checked by the loading; that the values meet is shown by the accuracy on photos below."""
    extractor = EfficientNetLite(size)
    assert len(extractor.network.state_dict()) == num_tensors
    outputs = extractor(noise(2, 1, 40, 60))
    assert {name: value.shape[1] for name, value in outputs.items()} == extractor.provides
    square, oblong = noise(1, 3, 40, 40), noise(1, 3, 40, 70)
    assert extractor.central_square(square.float()).shape[2:] == (extractor.side, extractor.side)
    # The middle of an oblong image is what remains of it, and an exact square at its own size is left as it is.
    whole = noise(1, 1, extractor.side, extractor.side).float()
    torch.testing.assert_close(extractor.central_square(whole), whole.expand(-1, 3, -1, -1), rtol=0, atol=1e-3)
    middle = F.interpolate(oblong.float(), scale_factor=extractor.side / 40, mode="bicubic", antialias=True)
    cut = (middle.shape[3] - extractor.side) // 2
    found = extractor.central_square(oblong.float())
    torch.testing.assert_close(found, middle[..., cut : cut + extractor.side], rtol=0, atol=2.0)


def accuracy_on_photos(*, every: int) -> float:
    """Top-1 of every n-th photo: there is one a class, and sorted names are the classes."""
    extractor = EfficientNetLite(0)
    hits, count = 0, 0
    with tarfile.open(PHOTOS) as archive:
        members = sorted((m for m in archive.getmembers() if m.isfile()), key=lambda m: m.name)
        assert len(members) == 1000
        for label in range(0, 1000, every):
            file = archive.extractfile(members[label])
            assert file is not None
            image = torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)
            hits += int(extractor(image[None])["logits"].argmax()) == label
            count += 1
    return hits / count


def test_efficientnet_lite0_knows_photos() -> None:
    if not PHOTOS.exists():
        pytest.skip(f"needs {PHOTOS.name}, one ImageNet photo a class")
    assert accuracy_on_photos(every=5) >= 0.87, "of a fifth of them; `make soak` takes all"


def test_efficientnet_takes_few_images_at_a_time() -> None:
    """What is in memory is that of a few; each image has the features that it has alone, to rounding."""
    extractor = make_extractor("efficientnet_lite0", image_shape=(3, 24, 24))
    images, seen = noise(11, 3, 24, 24), []
    extractor.network.conv_stem.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    together = extractor(images)
    assert seen == [8, 3]
    alone = torch.cat([extractor(image[None])["features"] for image in images[[0, 7, 10]]])
    torch.testing.assert_close(together["features"][[0, 7, 10]], alone, rtol=1e-4, atol=1e-5)
    assert together["logits"].shape == (11, 1000)
    assert (together["features"][0] - together["features"][10]).abs().max() > 0.1


def test_images_of_several_sizes_have_the_features_that_each_has_alone() -> None:
    extractor = make_extractor("efficientnet_lite0", image_shape=(3, 0, 0))
    images = [noise(1, 3, *size, seed=i)[0] for i, size in enumerate([(24, 24), (24, 31), (24, 24), (40, 24)])]
    together = extractor(images)
    for place, image in enumerate(images):
        alone = extractor(image[None])
        torch.testing.assert_close(together["features"][place], alone["features"][0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together["logits"][place], alone["logits"][0], rtol=1e-4, atol=1e-4)
    assert (together["features"][0] - together["features"][2]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((3, 0, 0), "efficientnet_lite0"),
        ((1, 8, 8), "pixels"),
        ((3, 32, 32), "pixels"),
        ((1, 55, 55), "pixels"),
        ((3, 33, 33), "efficientnet_lite0"),
    ],
)
def test_large_images_are_compared_by_a_network(shape: tuple[int, int, int], name: str) -> None:
    assert default_extractor(shape) == name


def test_dinov2_loads_the_published_format(tmp_path: Path) -> None:
    """A small network of the same family stands in for ViT-L/14; positions of 37 x 37 patches as in Meta's file."""
    import timm

    small = "vit_small_patch14_dinov2"
    network = timm.create_model(small, pretrained=False, num_classes=0, img_size=518)
    state = network.state_dict() | {"mask_token": torch.zeros(1, 384)}
    torch.save(state, tmp_path / "dinov2.pth")
    extractor = DinoV2(tmp_path / "dinov2.pth", architecture=small)
    images = noise(2, 3, 32, 32)
    features = extractor(images)["features"]
    assert features.shape == (2, 384)
    assert not torch.allclose(features[0], features[1], rtol=1e-3)
    same = resampled_positions(state["pos_embed"], side=37)
    assert torch.equal(same, state["pos_embed"])
    assert resampled_positions(state["pos_embed"], side=16).shape == (1, 257, 384)
    with pytest.raises(ValueError, match="dinov2 needs its weights: fetch dinov2_vitl14_pretrain"):
        make_extractor("dinov2", image_shape=(3, 8, 8))
    with pytest.raises(ValueError, match=r"dinov2\.pth are of another network"):
        DinoV2(tmp_path / "dinov2.pth", architecture="vit_base_patch14_dinov2")


def test_positions_of_a_ramp_stay_a_ramp() -> None:
    """Bicubic resampling keeps what is linear to a few percent, away from the borders."""
    ramp = torch.arange(37.0).repeat(37, 1).flatten()[None, :, None]
    resampled = resampled_positions(torch.cat([torch.zeros(1, 1, 1), ramp], dim=1), side=16)[0, 1:, 0].view(16, 16)
    steps = resampled[:, 2:-2].diff(dim=1)
    torch.testing.assert_close(steps, torch.full_like(steps, 37 / 16.1), rtol=0, atol=0.1)


class TinyClassifier(nn.Module):
    num_features, num_classes, image_shape = 5, 3, (1, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(16, 5), nn.Linear(5, 3)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        return self.last(features)


def test_a_classifier_as_extractor() -> None:
    extractor = FromClassifier(TinyClassifier())
    outputs = extractor(noise(2, 1, 4, 4))
    assert {name: value.shape[1] for name, value in outputs.items()} == extractor.provides
    assert extractor.name == f"classifier_{extractor.weights[:4]}"
    with pytest.raises(ValueError, match="the images are 3 x 4 x 4 and the classifier was trained on 1 x 4 x 4"):
        extractor(noise(2, 3, 4, 4))


def test_stages_are_differentiable() -> None:
    images = torch.rand(1, 1, 16, 16, requires_grad=True)
    stages = EfficientNetLite(0).stages(images)
    assert [stage.shape[1] for stage in stages] == [16, 24, 40, 112, 320]
    stages[-1].square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_bad_input() -> None:
    pixels = make_extractor("pixels", image_shape=(1, 4, 4))
    for images in (torch.zeros(2, 1, 4, 4), torch.zeros(2, 2, 4, 4, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="takes uint8 images"):
            pixels(images)
    with pytest.raises(ValueError, match="there is no extractor 'vgg'"):
        make_extractor("vgg", image_shape=(1, 4, 4))
    with pytest.raises(ValueError, match="pixels takes no weights file"):
        make_extractor("pixels", image_shape=(1, 4, 4), weights=Path(__file__))
    with pytest.raises(ValueError, match="pixels has no stages"):
        pixels.stages(torch.zeros(1, 1, 4, 4))
    assert math.prod((1, 4, 4)) == pixels.provides["features"]
