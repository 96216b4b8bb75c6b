"""A prior whose coordinates have the density of a file, such as the one that the authors published."""

from __future__ import annotations

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor

from generative.priors.divergences import Array
from generative.priors.tabulated import Tabulated

NAME_IN_NPZ = "density"  # as `python -m generative.priors.solve` writes it
NAME_IN_MAT = "X_final"  # as the authors wrote it
NOT_NORMALISED = 1e-6  # a sum of masses further from 1 is an error
UNREADABLE = (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError, MatReadError)


class DensityFile(Tabulated):
    """Every coordinate from the masses in ``path``: array ``density`` of an .npz, an .npy, or variable ``X_final`` of a .mat.

    ``bins``: how many masses there must be; None: any number. The file is read when the first latent is drawn.

    The authors drew from theirs by choice(linspace(-2, 2, 1024)) + U(0, 4 / 1024): steps of 4 / 1023, and a mean near -0.0056. Here
    the bins have no gaps and the mean is 0; ``half_width`` 2 gives nearly their scale, a standard deviation of 0.108.
    """

    def __init__(
        self,
        *,
        path: str,
        bins: int | None = None,
        deviation: float | None = None,
        half_width: float | None = None,
        jitter: bool = True,
    ) -> None:
        super().__init__(deviation=deviation, half_width=half_width, jitter=jitter)
        self.path = path
        self.bins = bins

    @cached_property
    def density(self) -> Array:
        return read_density(Path(self.path), bins=self.bins)

    def state(self) -> dict[str, Tensor]:
        return {NAME_IN_NPZ: torch.from_numpy(self.density)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        if set(state) != {NAME_IN_NPZ} or fault_of(state[NAME_IN_NPZ].numpy(), bins=self.bins):
            raise ValueError(
                f"a checkpoint with the prior DensityFile holds its {NAME_IN_NPZ!r}, this one holds {state}"
            )
        self.density = state[NAME_IN_NPZ].numpy()
        self.__dict__.pop("table", None)  # of another density


def read_density(path: Path, *, bins: int | None = None) -> Array:
    """The masses in a file, float64 [n], of sum 1; ValueError says what is wrong with them, and what is asked for."""
    remedy = (
        f"give an .npz with an array {NAME_IN_NPZ!r}, an .npy, or a .mat with a variable {NAME_IN_MAT!r}, of masses that are "
        "not negative and sum to 1: `python -m generative.priors.solve` writes one"
    )
    if not path.is_file():
        raise ValueError(f"there is no density {path}: {remedy}")
    try:
        found = np.asarray(stored_array(path))
    except UNREADABLE as error:
        raise ValueError(f"the density {path} cannot be read, {error}: {remedy}") from error
    fault = fault_of(found, bins=bins)
    if fault:
        raise ValueError(f"the density {path} {fault}: {remedy}")
    density = found.astype(np.float64)
    return density / density.sum()


def stored_array(path: Path) -> Any:
    """What stands in the file under the name of its kind; ValueError for another kind or a file without that name."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix not in (".npz", ".mat"):
        raise ValueError(f"its ending is {path.suffix!r}")
    name = NAME_IN_NPZ if path.suffix == ".npz" else NAME_IN_MAT
    content = np.load(path, allow_pickle=False) if path.suffix == ".npz" else loadmat(path)
    if name not in content:
        raise ValueError(f"it holds no {name!r}")
    # MATLAB knows no vectors, only matrices of one row or one column.
    return content[name] if path.suffix == ".npz" or min(content[name].shape) != 1 else content[name].ravel()


def fault_of(found: np.ndarray, *, bins: int | None) -> str:
    """What keeps an array from being a density, as the end of a sentence; empty: nothing."""
    if found.dtype.kind not in "fiu":
        return f"holds {found.dtype}, no real numbers"
    if found.ndim != 1:
        return f"has the shape {list(found.shape)}, not one dimension"
    if len(found) < 2 or (bins is not None and len(found) != bins):
        return f"has {len(found)} bins, not {'at least 2' if bins is None else bins}"
    if not np.isfinite(found).all():
        return f"holds {found[~np.isfinite(found)][0]} in bin {int(np.argmin(np.isfinite(found)))}"
    if found.min() < 0:
        return f"has the negative mass {found.min():g} in bin {int(found.argmin())}"
    if abs(found.sum(dtype=np.float64) - 1.0) > NOT_NORMALISED:
        return f"sums to {found.sum(dtype=np.float64):.9g}, not to 1"
    return ""
