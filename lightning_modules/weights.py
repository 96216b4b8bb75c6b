"""Weights to start from: a stage of training is a run, and the next one starts from what it has learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from generative.plain_data import are_weights, check_plain, read_tensors
from lightning_modules.steps import AVERAGED

COUNTER = "num_batches_tracked"  # of batch norms; older files have none


@dataclass(frozen=True)
class Weights:
    """What a file of ``path`` holds: a checkpoint of a run, or a state dict and nothing else, as networks are published."""

    path: str
    state: dict[str, Tensor]
    settings: dict[str, Any] | None  # of the run's method, as far as the checkpoint has them; None: not of a run

    def of(self, network: str) -> dict[str, Tensor]:
        """The weights of the run's ``network`` by their names in it: its average, if there is one. Empty: it has none."""
        return below(f"{AVERAGED}{network}.", self.state) or below(f"{network}.", self.state)

    def load_into(self, networks: Mapping[str, nn.Module]) -> None:
        """Load each of ``networks`` that the run has by its name; an average starts as its network does.

        ValueError where the run has none of them, or one that does not fit.
        """
        taken = {name: self.of(name.removeprefix(AVERAGED)) for name in networks}
        if not any(taken.values()):
            own = ", ".join(name for name in networks if not name.startswith(AVERAGED))
            raise ValueError(
                f"{self.path} holds none of this method's networks, {own}: give the last.ckpt of a run of it"
            )
        for name, state in taken.items():
            if state:
                load(networks[name], state, path=self.path, part=name.removeprefix(AVERAGED))


def below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def read_weights(path: str, *, source: str) -> Weights:
    """The weights in a file, on the CPU. Never runs code from it.

    ValueError says what is wrong with the file, and to give a checkpoint of ``source``, such as "a run of method=dgm".
    """
    remedy = f"give the last.ckpt of {source}"
    if not Path(path).is_file():
        raise ValueError(f"there are no weights {path}: {remedy}")
    try:
        content = read_tensors(Path(path))
    except ValueError as error:
        raise ValueError(f"{error}: {remedy}") from error
    is_of_run = isinstance(content, dict) and "state_dict" in content
    state = content["state_dict"] if is_of_run else content
    if not are_weights(state) or not state:
        raise ValueError(f"{path} holds no weights by their names: {remedy}")
    return Weights(path, state, method_settings(content, path=path) if is_of_run else None)


def method_settings(checkpoint: dict[str, Any], *, path: str) -> dict[str, Any]:
    """The settings of the method in a checkpoint's configuration; ValueError where they are not plain data."""
    config = checkpoint.get("config")
    check_plain(config, f"the configuration in {path}")
    method = config.get("method") if isinstance(config, dict) else None
    return method if isinstance(method, dict) else {}


@dataclass(frozen=True)
class Misfits:
    """Where weights differ from those of a network, by name; of ``unlike`` ones both shapes."""

    lacks: list[str]
    unknown: list[str]
    unlike: list[str]

    def __bool__(self) -> bool:
        return bool(self.lacks or self.unknown or self.unlike)

    def __str__(self) -> str:
        return ", ".join(
            f"{what} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            for what, names in (("lacks", self.lacks), ("also has", self.unknown), ("has", self.unlike))
            if names
        )


def misfits(network: nn.Module, state: dict[str, Tensor]) -> Misfits:
    own = network.state_dict()
    return Misfits(
        lacks=[name for name in own if name not in state and not name.endswith(COUNTER)],
        unknown=[name for name in state if name not in own],
        unlike=[
            f"{name} {list(state[name].shape)} for {list(value.shape)}"
            for name, value in own.items()
            if name in state and state[name].shape != value.shape
        ],
    )


def load(network: nn.Module, state: dict[str, Tensor], *, path: str, part: str) -> None:
    """Load every weight of ``network`` from ``state``; ValueError says what does not fit the method's ``part``."""
    found = misfits(network, state)
    if found:
        raise ValueError(f"{path} does not fit method.{part}, it {found}: give the {part} the settings of that run")
    network.load_state_dict(state)
