"""Weights to start from: the backbone of a classifier that was trained before."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generative.plain_data import check_plain

AVERAGED = "averaged_network."
CLASSIFIERS = ("classifier.", "fc.")  # ours, torchvision's
COUNTER = "num_batches_tracked"  # of batch norms; older files have none


def read(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"there are no weights {path}: give the last.ckpt of a run of method=dgm")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read as tensors and plain data (cut short, or another kind of file): give the last.ckpt "
            "of a run of method=dgm"
        ) from error
    if isinstance(content, dict) and "config" in content:
        check_plain(content["config"], f"the configuration in {path}")
    return content


def pretrained(path: str) -> dict[str, Tensor]:
    """The weights of a classifier's backbone: of our checkpoints the averaged ones, without the classifier.

    Also takes a file that is nothing but a state dict, such as those that torchvision publishes.
    """
    content = read(Path(path))
    is_checkpoint = isinstance(content, dict) and "state_dict" in content
    state = content["state_dict"] if is_checkpoint else content
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no weights by their names: give the last.ckpt of a run of method=dgm")
    if is_checkpoint:
        state = {name.removeprefix(AVERAGED): value for name, value in state.items() if name.startswith(AVERAGED)}
    backbone = {name: value for name, value in state.items() if not name.startswith(CLASSIFIERS)}
    if not backbone or len(backbone) == len(state):
        raise ValueError(f"{path} holds no classifier to start from: give the last.ckpt of a run of method=dgm")
    return backbone


def load_backbone(backbone: nn.Module, state: dict[str, Tensor], *, path: str) -> None:
    """Every weight of ``backbone`` from ``state``; ValueError says what does not fit."""
    own = backbone.state_dict()
    lacks = [name for name in own if name not in state and not name.endswith(COUNTER)]
    unknown = [name for name in state if name not in own]
    unlike = [
        f"{name} {list(state[name].shape)} for {list(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    problems = [
        f"{what} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for what, names in (("lacks", lacks), ("also has", unknown), ("has", unlike))
        if names
    ]
    if problems:
        raise ValueError(
            f"{path} does not fit method.backbone, it {', '.join(problems)}: give the backbone the settings of that run"
        )
    backbone.load_state_dict(state)
