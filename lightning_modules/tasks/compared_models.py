"""Which pixels a classifier looks at (section 5.4.4), and how much of that lies on the object where a mask says where it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from generative.networks.classifier import ClassifierNetwork
from generative.rendering.colours import normalized
from lightning_modules.classification import Classification
from lightning_modules.dgm.module import DGMClassifier

NO_CLASS = 255  # of a mask's pixel that belongs to nothing
BACKGROUND = 0
CENTRE_WIDTH = 0.25  # of an image's side: the deviation of the map that looks at nothing but the middle


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps [B, h, w], each first brought to [0, 1], at ``size`` (height, width), linear between corners on corners.

    As in the released code, also for the maps of a network with strides, whose own pixels lie a little further in.
    """
    return F.interpolate(normalized(maps)[:, None], size=tuple(size), mode="bilinear", align_corners=True)[:, 0]


def grad_cam(network: ClassifierNetwork, images: Tensor, classes: Tensor) -> Tensor:
    """relu(sum_k a_k A^k), a_k = mean of d logit / d A^k over positions (Selvaraju et al. 2017): [B, h, w], h x w of A.

    A are the last maps of the network, the logit that of ``classes`` [B]; computed by Captum.
    """
    from captum.attr import LayerGradCam  # half a second that no other task waits for

    asked = images.detach().clone().requires_grad_()  # averaged weights take no gradient, so the images must
    with torch.enable_grad():
        explained = LayerGradCam(network, network.last_maps())
        maps = explained.attribute(asked, target=classes, relu_attributions=True)
    return maps[:, 0].detach()


def kind_of_map(model: Classification) -> str:
    if not isinstance(model, DGMClassifier):
        return "Grad-CAM"
    return "features x means" if model.averaged_network.bases is None else "moments"


@torch.no_grad()
def last_map(model: Classification, images: Tensor, classes: Tensor) -> Tensor:
    """The map that section 5.4.4 shows of each kind of network, for images [B, C, H, W]: [B, H, W] in [0, 1].

    Eq. 5.4 at the last level, or without moments the features weighted by their means, neither of which knows
    ``classes`` [B]; of any other network Grad-CAM of these.
    """
    if isinstance(model, DGMClassifier):
        return enlarged(model.heatmaps(images)[-1], images.shape[2:])
    return enlarged(grad_cam(model.averaged_network, images, classes), images.shape[2:])


def energy_inside(maps: Tensor, inside: Tensor, counted: Tensor | None = None) -> Tensor:
    """Share of each map's mass that lies inside: maps [B, H, W] in [0, 1], masks of bools -> [B] (Wang et al. 2020).

    Pixels that are not ``counted`` enter neither sum. A map without mass has the share of an even one.
    """
    counted = torch.ones_like(inside) if counted is None else counted
    mass = maps * counted
    total = mass.sum(dim=(1, 2))
    even = covered(inside, counted)
    return torch.where(total > 0, (mass * inside).sum(dim=(1, 2)) / total.where(total > 0, 1.0), even.to(maps.dtype))


def pointing_game(maps: Tensor, inside: Tensor, counted: Tensor | None = None) -> Tensor:
    """Share of each map's maxima among the counted pixels that lie inside, 0 or 1 where there is one: [B] (Zhang et al. 2018)."""
    counted = torch.ones_like(inside) if counted is None else counted
    values = maps.masked_fill(~counted, -math.inf)
    highest = (values == values.amax(dim=(1, 2), keepdim=True)) & counted
    return (highest & inside).sum(dim=(1, 2)) / highest.sum(dim=(1, 2)).clamp(min=1)


def covered(inside: Tensor, counted: Tensor) -> Tensor:
    """Share of the counted pixels that lie inside, [B]: what an even map, or a random place, scores in both."""
    return (inside & counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)


def centre_map(height: int, width: int) -> Tensor:
    """A Gaussian about the middle, [H, W]: what can be said of an object without looking at the image."""
    rows, columns = (((torch.arange(n) + 0.5) / n - 0.5) / CENTRE_WIDTH for n in (height, width))
    return torch.exp(-0.5 * (rows[:, None].square() + columns.square()))


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, of each pair of maps [B, H, W] over their pixels: [B]; NaN beside a flat map."""
    a, b = (maps.flatten(1) - maps.mean(dim=(1, 2))[:, None] for maps in (a, b))
    return (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))


def named_models(method: Classification, baselines: list[Classification] | None) -> Mapping[str, Classification]:
    """The method and what it is compared with, under the names of their experiments, numbered where they repeat.

    ValueError unless all take the same images and name the same number of classes.
    """
    models: dict[str, Classification] = {}
    for model in [method, *(baselines or [])]:
        if (model.image_shape, model.num_classes) != (method.image_shape, method.num_classes):
            raise ValueError(
                f"a baseline takes images {model.image_shape} of {model.num_classes} classes, and the checkpoint "
                f"{method.image_shape} of {method.num_classes}: compare models of the same data"
            )
        plain = str(model.run_config.get("experiment_name") or type(model).__name__).rpartition("/")[2]
        repeated = sum(name == plain or name.startswith(f"{plain} (") for name in models)
        models[f"{plain} ({repeated + 1})" if repeated else plain] = model
    return models


def training_of(model: Classification) -> dict[str, Any]:
    """What tells a model of the same experiment from another: its seed and the images that it has seen."""
    return {"trained_seed": model.seed, "images_seen": model.images_seen}


@torch.no_grad()
def decisions(model: Classification, images: Tensor) -> Tensor:
    """The class that the model names of each image [B, C, H, W]: [B] on the CPU."""
    return model(images.to(model.device)).argmax(dim=1).cpu()
