"""The released synthesis written plainly: every pixel carries its grid through the levels.

Same weights and same values as :class:`~lightning_modules.poly_inr.networks.Synthesis` on the folded
affine parameters, at a higher cost: the reference of the tests and the peer of the benchmark.
"""

from __future__ import annotations

from torch import Tensor

from lightning_modules.poly_inr.networks import ChainedAffine, Generator, lrelu


def render_plainly(generator: Generator, ws: Tensor, positions: Tensor) -> Tensor:
    """ws [B, levels, w_dim], positions [H, W, 2] -> images [B, channels, H, W]; ``released`` only."""
    heads, synthesis = generator.heads, generator.synthesis
    if not isinstance(heads, ChainedAffine):
        raise ValueError("the plain formulation is that of the parameterization 'released'")
    assert synthesis.clamp is not None
    grid = positions.flatten(0, 1).expand(len(ws), -1, -1)
    h: Tensor | None = None
    for (scale, bias, matrix, shift), level in zip(heads.steps(ws), synthesis.levels, strict=True):
        grid = grid @ matrix + shift
        modulation = grid @ scale + bias
        h = level(modulation if h is None else h * lrelu(modulation))
        h = lrelu(h).clamp(-synthesis.clamp, synthesis.clamp)
    assert h is not None
    return synthesis.to_image(h).transpose(1, 2).unflatten(2, positions.shape[:2])
