"""Paths between latents and linear combinations of many, some of which have the prior's own law.

A linear combination sum w_i z_i of latents is most often of another law than they are, and its image then comes from where
the network was hardly trained. The functions here are ways to make it a latent again: a name of :data:`PATHS` each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from generative.priors.base import Prior

DEGENERATE = 1e-6  # sine of the angle between two latents, below which no great circle through both is determined


def linear(latents: Tensor, weights: Tensor, prior: Prior) -> Tensor:
    """sum w_i z_i, between two latents the straight path z_lambda of section 4.2."""
    # Term by term: a product of matrices may round a row by how many others there are.
    combined = torch.zeros_like(latents[0])
    for weight, each in zip(weights, latents, strict=True):
        combined += weight * each
    return combined


def variance_preserving(latents: Tensor, weights: Tensor, prior: Prior) -> Tensor:
    """sum w_i z_i / sqrt(sum w_i^2): of a normal prior's law for any weights, and of the prior's variance for every prior."""
    return linear(latents, weights, prior) / stable_scale(weights, index=2.0)


def transport(latents: Tensor, weights: Tensor, prior: Prior) -> Tensor:
    """sum w_i z_i brought back to the prior's law in closed form (Bodin et al. 2024), for independent z_i and any weights.

    A strictly stable law needs a scale only. Every other one goes through the normal law: a product law coordinate by
    coordinate, an isotropic one by its norm.
    """
    if prior.stability is not None:
        return linear(latents, weights, prior) / stable_scale(weights, index=prior.stability)
    return prior.from_normal(variance_preserving(prior.to_normal(latents), weights, prior))


def spherical(latents: Tensor, weights: Tensor, prior: Prior) -> Tensor:
    """sin((1-lambda) t) / sin(t) a + sin(lambda t) / sin(t) b with t the angle between a and b (White 2016).

    Latents on one line through the origin, parallel, opposite or 0, determine no great circle: the path is the straight one,
    as in White's code.
    """
    a, b = latents
    angle = angle_between(a, b)
    sine = angle.sin()
    turned = ((weights[0] * angle).sin() * a + (weights[1] * angle).sin() * b) / sine
    return torch.where(sine < DEGENERATE, linear(latents, weights, prior), turned)


def normalized(latents: Tensor, weights: Tensor, prior: Prior) -> Tensor:
    """The straight path with the norm (1-lambda) |a| + lambda |b|, the interpolated norm of the ends (Fadel et al. 2021).

    Where it crosses the origin, as half way between opposite latents of one norm, it has no direction and is 0. (The
    division by sqrt((1-lambda)^2 + lambda^2), which is called normalised too, is ``variance_preserving``.)
    """
    straight = linear(latents, weights, prior)
    norms = linear(latents.norm(dim=2, keepdim=True), weights, prior)
    length = straight.norm(dim=1, keepdim=True)
    return straight * torch.where(length > 0, norms / length, 0.0)


PATHS: dict[str, Callable[[Tensor, Tensor, Prior], Tensor]] = {
    path.__name__: path for path in (linear, variance_preserving, transport, spherical, normalized)
}
OF_TWO = ("spherical", "normalized")  # defined between two latents, and not beyond them


def combine(latents: Tensor, weights: Sequence[float], *, path: str, prior: Prior) -> Tensor:
    """The combinations of ``latents`` [m, B, d], m latents of ``prior`` each, with m ``weights``: [B, d], of the same type.

    ``path``: a name of :data:`PATHS`. Computed in float64; gradients end here. ValueError for another path, weights that are
    not m numbers or all 0, and weights for a path of two latents other than (1 - lambda, lambda) with lambda in [0, 1].
    """
    if path not in PATHS:
        raise ValueError(f"there is no path {path!r}: choose one of {', '.join(PATHS)}")
    if latents.ndim != 3:
        raise ValueError(f"latents to combine are of the shape [m, B, d], got {tuple(latents.shape)}")
    given = torch.tensor([float(weight) for weight in weights], dtype=torch.float64)
    check_weights(given, number=len(latents), path=path)
    # Of the processor: its library has the quantile functions, and some accelerators have no float64.
    combined = PATHS[path](latents.detach().to("cpu", torch.float64), given, prior)
    return combined.to(latents)


def path_points(a: Tensor, b: Tensor, lambdas: Sequence[float], *, path: str, prior: Prior) -> Tensor:
    """The points at ``lambdas``, L numbers, of the paths from latents ``a`` to ``b`` [B, d]: [L, B, d]; 0 is a, 1 is b."""
    ends = torch.stack([a, b])
    return torch.stack([combine(ends, (1.0 - float(x), float(x)), path=path, prior=prior) for x in lambdas])


def check_weights(weights: Tensor, *, number: int, path: str) -> None:
    """ValueError unless ``path`` can combine ``number`` latents with ``weights``."""
    if len(weights) != number:
        raise ValueError(f"{number} latents take as many weights, got {weights.tolist()}")
    if not weights.isfinite().all() or not weights.square().sum() > 0:
        raise ValueError(f"weights must be finite numbers and not all 0, got {weights.tolist()}")
    if path not in OF_TWO:
        return
    any_weights = ", ".join(name for name in PATHS if name not in OF_TWO)
    if number != 2 or not math.isclose(float(weights.sum()), 1.0, abs_tol=1e-9):
        raise ValueError(
            f"{path} interpolation takes two latents and weights (1 - lambda, lambda), got {weights.tolist()}; "
            f"any latents and weights: {any_weights}"
        )
    if not 0.0 <= weights[1] <= 1.0:
        raise ValueError(
            f"lambda {float(weights[1]):g} is outside the domain of {path} interpolation, 0 to 1; "
            f"paths that go on beyond their ends: {any_weights}"
        )


def stable_scale(weights: Tensor, *, index: float) -> Tensor:
    """(sum |w_i|^index)^(1/index): sum w_i z_i has the law of this times z, for a symmetric stable law of ``index``."""
    return weights.abs().pow(index).sum().pow(1.0 / index)


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """The angle between rows of ``a`` and ``b`` [B, d]: [B, 1] in [0, pi], 0 where one is 0.

    2 atan2(|u - v|, |u + v|) of the unit vectors is exact near 0 and pi, where the arc cosine of a product is not.
    """
    u, v = (rows / rows.norm(dim=1, keepdim=True) for rows in (a, b))
    angle = 2.0 * torch.atan2((u - v).norm(dim=1, keepdim=True), (u + v).norm(dim=1, keepdim=True))
    return angle.nan_to_num(nan=0.0)
