"""Poly-INR: an image as a polynomial of the pixel's position (dissertation, chapter 6).

Read top to bottom: layers, the mapping network (latent -> w), the two ways to get the affine
parameters A_i of eq. 6.3 from w, the generator; the synthesis network (A_i, positions -> colours) is next door.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.poly_inr.levels import NEGATIVE_SLOPE
from lightning_modules.poly_inr.synthesis import Synthesis

LRELU_GAIN = math.sqrt(2.0)  # keeps the second moment of a unit normal through a leaky ReLU
SETTLED = 2**32  # updates after which nothing of a running mean's start is left


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, NEGATIVE_SLOPE)


def normalize_second_moment(x: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Divide each row of ``x`` [B, D] by its root mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class EqualizedLinear(nn.Module):
    """Leaky-ReLU layer whose stored weights have unit scale, so Adam moves every layer alike.

    ``lr_multiplier`` shrinks the layer's effective learning rate; the forward value at
    initialisation does not depend on it.
    """

    def __init__(self, in_features: int, out_features: int, *, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return lrelu(F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)) * LRELU_GAIN


class Mapping(nn.Module):
    """Latent z [B, latent_dim] and class label [B] -> w [B, w_dim].

    ``num_classes = 0`` makes the unconditional network: no embedding, z alone enters.
    ``normalize_latents=False`` keeps the radius of z, for priors whose radial law matters.
    """

    average: Tensor
    average_updates: Tensor

    def __init__(
        self,
        *,
        latent_dim: int = 64,
        w_dim: int = 512,
        num_classes: int = 0,
        embedding_dim: int = 320,
        num_layers: int = 2,
        lr_multiplier: float = 0.1,
        average_decay: float = 0.998,
        normalize_latents: bool = True,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.average_decay = average_decay
        self.normalize_latents = normalize_latents
        if num_classes > 0:
            self.embedding = nn.Embedding(num_classes, embedding_dim)
            self.embedding_projection = EqualizedLinear(embedding_dim, latent_dim)
        widths = [latent_dim * (2 if num_classes > 0 else 1)] + [w_dim] * num_layers
        self.layers = nn.Sequential(
            *(EqualizedLinear(a, b, lr_multiplier=lr_multiplier) for a, b in itertools.pairwise(widths))
        )
        # Running mean of w, one row a class (one row in all when unconditional): the centre of truncation. Beside it the
        # number of updates that each row has had, as integers, which a run in bfloat16 leaves as they are.
        self.register_buffer("average", torch.zeros(max(num_classes, 1), w_dim))
        self.register_buffer("average_updates", torch.zeros(max(num_classes, 1), 1, dtype=torch.int64))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """The mean of weights that come without a count, older or the authors', is taken as settled."""
        if f"{prefix}average" in state_dict and f"{prefix}average_updates" not in state_dict:
            updates = torch.full(self.average_updates.shape, SETTLED, device=state_dict[f"{prefix}average"].device)
            state_dict[f"{prefix}average_updates"] = updates
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = normalize_second_moment(z) if self.normalize_latents else z
        if self.num_classes > 0:
            if labels is None:
                raise ValueError(
                    f"this generator is conditional: give a label below {self.num_classes} for each latent"
                )
            y = normalize_second_moment(self.embedding_projection(self.embedding(labels)))
            x = torch.cat([x, y], dim=1)
        elif labels is not None:
            raise ValueError("this generator is unconditional: it takes no labels")
        return self.layers(x)

    @torch.no_grad()
    def track_average(self, w: Tensor, labels: Tensor | None) -> None:
        """Move each class's running mean towards the mean of its w in this batch.

        After n updates the means m_1 .. m_n of the batches have weights in proportion to decay^(n - i), which add up
        to 1: the share of the newest is (1 - decay) / (1 - decay^n), all of it at first, and nothing of the zeros that
        the buffer starts from is left.
        """
        rows = torch.zeros(len(w), dtype=torch.long, device=w.device) if labels is None else labels
        w = w.to(self.average.dtype)
        counts = w.new_zeros(len(self.average), 1).index_add_(0, rows, w.new_ones(len(w), 1))
        means = torch.zeros_like(self.average).index_add_(0, rows, w) / counts.clamp(min=1)
        self.average_updates += counts > 0
        updates = self.average_updates.clamp(min=1).to(self.average.dtype)
        share = (1 - self.average_decay) / -torch.expm1(updates * math.log(self.average_decay))
        self.average += (counts > 0) * share * (means - self.average)

    def truncate(self, ws: Tensor, labels: Tensor | None, *, psi: float) -> Tensor:
        """Pull ws [B, levels, w_dim] towards the (class's) running mean; psi = 1 leaves them."""
        centre = self.average[:1] if labels is None else self.average[labels]
        return torch.lerp(centre[:, None].expand_as(ws), ws, psi)


class DirectAffine(nn.Module):
    """Parameterisation ``text`` (eq. 6.3): one linear layer a level gives A_i [3, n]."""

    def __init__(self, *, num_levels: int, width: int, w_dim: int) -> None:
        super().__init__()
        self.width = width
        self.levels = nn.ModuleList(nn.Linear(w_dim, 3 * width) for _ in range(num_levels))

    def forward(self, ws: Tensor) -> Tensor:
        rows = [level(ws[:, i]) for i, level in enumerate(self.levels)]
        return torch.stack(rows, dim=1).unflatten(2, (3, self.width))


class StyleAffine(nn.Module):
    """Parameterisation ``style`` (section 6.3, relation to StyleGAN): ``text`` with a_j = b_j = 0 above level 0.

    What is left of A_i is its bias c_i: one style code for all positions. Level 0 keeps its slopes, as StyleGAN keeps
    an input that differs between positions, or every pixel would be alike.
    """

    def __init__(self, *, num_levels: int, width: int, w_dim: int) -> None:
        super().__init__()
        self.first = DirectAffine(num_levels=1, width=width, w_dim=w_dim)
        self.biases = nn.ModuleList(nn.Linear(w_dim, width) for _ in range(num_levels - 1))

    def forward(self, ws: Tensor) -> Tensor:
        styles = [F.pad(bias(ws[:, i])[:, None, None], (0, 0, 2, 0)) for i, bias in enumerate(self.biases, start=1)]
        return torch.cat([self.first(ws), *styles], dim=1)


class ChainHeads(nn.Module):
    """The four heads of one level of ``released``: scale S, bias b, and the step of the grid (B, t)."""

    def __init__(self, in_features: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Linear(in_features, 2 * width)
        self.bias = nn.Linear(in_features, width)
        self.grid_matrix = nn.Linear(in_features, 4)
        self.grid_shift = nn.Linear(in_features, 2)

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """v [B, in_features] -> S [B, 2, n], b [B, 1, n], B [B, 2, 2], t [B, 1, 2]."""
        return (
            self.scale(v).unflatten(1, (2, -1)),
            self.bias(v)[:, None],
            self.grid_matrix(v).unflatten(1, (2, 2)),
            self.grid_shift(v)[:, None],
        )


class ChainedAffine(nn.Module):
    """Parameterisation ``released``: each level also moves the grid that the next one sees.

    grid_i = grid_{i-1} B_i + t_i and modulation_i = grid_i S_i + b_i. A chain of affine maps is one
    affine map, so the pixels never carry a grid: grid_i = grid C_i + d_i gives A_i = [C_i S_i; d_i S_i + b_i].
    """

    def __init__(self, *, num_levels: int, width: int, w_dim: int) -> None:
        super().__init__()
        # Level 0 acts on w itself; the later levels pass it through a layer of their own first.
        self.styles = nn.ModuleList(EqualizedLinear(w_dim, width) for _ in range(num_levels - 1))
        self.heads = nn.ModuleList(ChainHeads(width if i else w_dim, width) for i in range(num_levels))

    def steps(self, ws: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """(S_i, b_i, B_i, t_i) of every level, as :class:`ChainHeads` shapes them."""
        inputs = [ws[:, 0]] + [style(ws[:, i]) for i, style in enumerate(self.styles, start=1)]
        return [heads(v) for heads, v in zip(self.heads, inputs, strict=True)]

    def forward(self, ws: Tensor) -> Tensor:
        affine = []
        # position: the map from (x, y, 1) to the grid of this level, [B, 3, 2]; the identity to begin with.
        position = torch.eye(3, 2, dtype=ws.dtype, device=ws.device).expand(len(ws), 3, 2)
        for scale, bias, matrix, shift in self.steps(ws):
            position = position @ matrix + F.pad(shift, (0, 0, 2, 0))
            affine.append(position @ scale + F.pad(bias, (0, 0, 2, 0)))
        return torch.stack(affine, dim=1)


Affine = DirectAffine | StyleAffine | ChainedAffine
PARAMETERIZATIONS: dict[str, tuple[type[Affine], float, float | None]] = {
    # name: how A_i comes from w, slope on the modulation, clamp of the features
    "released": (ChainedAffine, NEGATIVE_SLOPE, 256.0),
    "text": (DirectAffine, 1.0, None),
    "style": (StyleAffine, 1.0, None),
}


class Generator(nn.Module):
    """Latent z, label -> image on any grid.

    ``parameterization`` is ``"released"`` (the authors' code, the default), ``"text"`` (eq. 6.3) or ``"style"``
    (its special case without slopes above level 0).
    The affine parameters [B, levels, 3, n] are the space W of the text in which images are mixed,
    interpolated and embedded; :meth:`affine` gives them and :meth:`render` draws them. ``recompute``: training
    in less memory, without second derivatives (see :class:`Synthesis`).
    """

    def __init__(
        self,
        *,
        image_channels: int,
        num_classes: int = 0,
        parameterization: str = "released",
        num_levels: int = 10,
        width: int = 1024,
        latent_dim: int = 64,
        w_dim: int = 512,
        embedding_dim: int = 320,
        normalize_latents: bool = True,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if parameterization not in PARAMETERIZATIONS:
            raise ValueError(
                f"unknown parameterization {parameterization!r}: choose one of {', '.join(PARAMETERIZATIONS)}"
            )
        if num_levels < 1 or width < 1:
            raise ValueError(
                f"a generator has at least one level and one feature, got {num_levels} levels of width {width}"
            )
        heads, modulation_slope, clamp = PARAMETERIZATIONS[parameterization]
        self.num_levels = num_levels
        self.mapping = Mapping(
            latent_dim=latent_dim,
            w_dim=w_dim,
            num_classes=num_classes,
            embedding_dim=embedding_dim,
            normalize_latents=normalize_latents,
        )
        self.heads: Affine = heads(num_levels=num_levels, width=width, w_dim=w_dim)
        self.synthesis = Synthesis(
            num_levels=num_levels,
            width=width,
            image_channels=image_channels,
            modulation_slope=modulation_slope,
            clamp=clamp,
            recompute=recompute,
        )

    def broadcast(self, w: Tensor) -> Tensor:
        """One w [B, w_dim] for all levels: ws [B, levels, w_dim]."""
        return w[:, None].expand(-1, self.num_levels, -1)

    def affine(self, z: Tensor, labels: Tensor | None = None, *, psi: float = 1.0) -> Tensor:
        """Latents [B, latent_dim] -> affine parameters [B, levels, 3, n], truncated by ``psi``."""
        ws = self.broadcast(self.mapping(z, labels))
        return self.heads(ws if psi == 1.0 else self.mapping.truncate(ws, labels, psi=psi))

    def render(self, affine: Tensor, positions: Tensor) -> Tensor:
        """Affine parameters at grid positions [H, W, 2] -> images [B, channels, H, W]."""
        colours = self.synthesis(affine, positions.flatten(0, 1))
        return colours.transpose(1, 2).unflatten(2, positions.shape[:2])

    def forward(self, z: Tensor, labels: Tensor | None, positions: Tensor, *, psi: float = 1.0) -> Tensor:
        return self.render(self.affine(z, labels, psi=psi), positions)
