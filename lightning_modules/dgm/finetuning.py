"""Fine-tuning (section 5.4.5): whose weights a classifier starts from, and which of its parameters move."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from generative.plain_data import SCALARS
from lightning_modules.dgm.networks import DGM
from lightning_modules.dgm.weights import AVERAGED, read

TRAINED = ("all", "bases")
CLASSIFIER = "classifier."
NOT_OF_WEIGHTS = ("_partial_", "dropout")  # settings of a backbone that its weights do not depend on


def trained_parts(network: DGM) -> list[nn.Module]:
    """The coordinate pipeline and the classifier: all that ``trained="bases"`` moves."""
    return [*network.coordinate_pipeline(), network.classifier]


def freeze_all_but(network: nn.Module, parts: list[nn.Module]) -> None:
    """No gradients outside of ``parts``; inside them a parameter that never had one stays without."""
    moving = {id(parameter) for part in parts for parameter in part.parameters()}
    for parameter in network.parameters():
        if id(parameter) not in moving:
            parameter.requires_grad_(False)


def trained_before(path: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights of a checkpoint's classifier, and the settings of its backbone."""
    content = read(Path(path))
    parts = ("config", "state_dict")
    is_checkpoint = isinstance(content, dict) and all(isinstance(content.get(part), dict) for part in parts)
    saved = content["state_dict"] if is_checkpoint else {}
    state = {name.removeprefix(AVERAGED): value for name, value in saved.items() if name.startswith(AVERAGED)}
    if f"{CLASSIFIER}weight" not in state:
        raise ValueError(f"{path} holds no classifier to start from: give the last.ckpt of a run of method=dgm")
    method = content["config"].get("method")
    settings = method.get("backbone") if isinstance(method, dict) else None
    if not isinstance(settings, dict) or not all(map(is_setting, settings.values())):
        raise ValueError(f"{path} does not say how its backbone was made: give the last.ckpt of a run of method=dgm")
    return state, settings


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


def load_weights(network: DGM, state: dict[str, Tensor], *, path: str, differences: list[str]) -> bool:
    """Every weight of the features from ``state``, and the classifier where it fits: whether it did.

    ValueError where a feature's weight does not fit; it names the ``differences`` of settings, if there are any.
    """
    own = network.state_dict()
    misfits = [
        f"{name} {list(state[name].shape) if name in state else 'missing'} for {list(own[name].shape) if name in own else 'none'}"
        for name in {**own, **state}
        if not name.startswith(CLASSIFIER)
        and (name not in own or name not in state or own[name].shape != state[name].shape)
    ]
    if misfits:
        reason = ", ".join(differences) if differences else misfits[0]
        raise ValueError(
            f"{path} is of another network ({reason}): give method.backbone, and the data, the settings of that run"
        )
    fits = all(state[name].shape == own[name].shape for name in own if name.startswith(CLASSIFIER))
    network.load_state_dict(
        {name: value if fits or not name.startswith(CLASSIFIER) else own[name] for name, value in state.items()}
    )
    return fits
