"""Fine-tuning (section 5.4.5): whose weights a network starts from, and which of its parameters move."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from generative.plain_data import SCALARS
from lightning_modules.dgm.networks import DGM
from lightning_modules.weights import Weights, misfits

TRAINED = ("all", "bases")
NETWORK, CLASSIFIER = "network", "classifier."
CLASSIFIERS = (CLASSIFIER, "fc.")  # ours, torchvision's
NOT_OF_WEIGHTS = ("_partial_", "dropout")  # settings of a backbone that its weights do not depend on
SOURCE = "a run of method=dgm"


def trained_parts(network: DGM) -> list[nn.Module]:
    """The coordinate pipeline and the classifier: all that ``trained="bases"`` moves."""
    return [*network.coordinate_pipeline(), network.classifier]


def freeze_all_but(network: nn.Module, parts: list[nn.Module]) -> None:
    """No gradients outside of ``parts``; inside them a parameter that never had one stays without."""
    moving = {id(parameter) for part in parts for parameter in part.parameters()}
    for parameter in network.parameters():
        if id(parameter) not in moving:
            parameter.requires_grad_(False)


def backbone_state(weights: Weights) -> dict[str, Tensor]:
    """The weights of a classifier without the classifier: of a run, or as torchvision publishes them."""
    state = weights.state if weights.settings is None else weights.of(NETWORK)
    backbone = {name: value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    if not backbone or len(backbone) == len(state):
        raise ValueError(no_classifier(weights))
    return backbone


def classifier_state(weights: Weights) -> dict[str, Tensor]:
    """All weights of the classifier of a run."""
    state = weights.of(NETWORK)
    if f"{CLASSIFIER}weight" not in state:
        raise ValueError(no_classifier(weights))
    return state


def no_classifier(weights: Weights) -> str:
    return f"{weights.path} holds no classifier to start from: give the last.ckpt of {SOURCE}"


def backbone_settings(weights: Weights) -> dict[str, Any]:
    """The settings of the backbone of a run."""
    settings = (weights.settings or {}).get("backbone")
    if not isinstance(settings, dict) or not all(map(is_setting, settings.values())):
        raise ValueError(f"{weights.path} does not say how its backbone was made: give the last.ckpt of {SOURCE}")
    return settings


def is_setting(value: Any) -> bool:
    """A backbone's arguments are scalars and lists of them."""
    return all(isinstance(item, SCALARS) for item in (value if isinstance(value, list) else [value]))


def different_settings(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """In words, where two backbones differ in what their weights depend on; a setting left out has DGM's default."""
    defaults = {key: parameter.default for key, parameter in inspect.signature(DGM).parameters.items()}
    there, here = defaults | there, defaults | here
    keys = [key for key in {**here, **there} if key not in NOT_OF_WEIGHTS]
    return [
        f"{key} {there.get(key, 'not set')} for {here.get(key, 'not set')}"
        for key in keys
        if there.get(key) != here.get(key)
    ]


def start_from(network: DGM, weights: Weights, *, settings: dict[str, Any]) -> bool:
    """Every weight of the features from a run, and the classifier where it tells as many classes apart: whether it does.

    ValueError where a feature's weight does not fit; it names where ``settings``, those of this backbone, differ.
    """
    state = classifier_state(weights)
    differences = different_settings(backbone_settings(weights), settings)
    own = {name: value for name, value in network.state_dict().items() if name.startswith(CLASSIFIER)}
    has_classifier = all(state[name].shape == value.shape for name, value in own.items())
    if not has_classifier:
        state = state | own
    found = misfits(network, state)
    if found:
        reason = ", ".join(differences or found.unlike[:1] or [str(found)])
        raise ValueError(
            f"{weights.path} is of another network ({reason}): give method.backbone, and the data, the settings of that run"
        )
    network.load_state_dict(state)
    return has_classifier
