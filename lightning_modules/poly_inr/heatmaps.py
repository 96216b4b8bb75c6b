"""What the levels of the synthesis network hold: heat maps (Figure 6.5) and the polynomial degree that they have reached."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from generative.checks import check_at_least
from generative.rendering.colours import hot, min_max_scaled
from generative.rendering.coordinates import coordinate_grid
from generative.rendering.images import image_grid, pixel_scale, save_picture, side_by_side
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.synthesis import Synthesis
from lightning_modules.poly_inr.tasks import draw_affine, render
from lightning_modules.tasks.samples import labels_for

EXPLAINED = 0.99  # of the variance over positions: the degree that reaches it is the effective one
ROUNDING = 1e-20  # share of the squares below which the variance of a constant lies
FITTED_SIDE = 40  # pixels a side of the grid on which polynomials are fitted


class Reached(NamedTuple):
    """The mean effective degree of one level or of the image, and how many samples lie beyond what was fitted."""

    of: str
    degree: float
    beyond: int


def level_features(synthesis: Synthesis, affine: Tensor, positions: Tensor) -> list[Tensor]:
    """Eq. 6.3 level by level: affine [B, levels, 3, n], positions [P, 2] -> features [B, P, n] after each activation."""
    x = F.pad(positions, (0, 1), value=1.0)
    features: list[Tensor] = []
    for i, level in enumerate(synthesis.levels):
        modulation = x @ affine[:, i]
        if i > 0:
            modulation = features[-1] * F.leaky_relu(modulation, synthesis.modulation_slope)
        features.append(synthesis.activate(level(modulation)))
    return features


def heat_maps(features: Tensor) -> Tensor:
    """Features [B, P, n] summed over channels, each weighed with its mean over the positions: [B, P]."""
    return (features * features.mean(dim=1, keepdim=True)).sum(dim=2)


def legendre(x: Tensor, degree: int) -> list[Tensor]:
    """Legendre polynomials of degrees 0 .. ``degree`` at x in [-1, 1], by Bonnet's recursion."""
    values = [torch.ones_like(x), x]
    for k in range(1, degree):
        values.append(((2 * k + 1) * x * values[k] - k * values[k - 1]) / (k + 1))
    return values[: degree + 1]


def unexplained(features: Tensor, positions: Tensor, *, max_degree: int) -> Tensor:
    """The share of the variance over positions that the best polynomial of total degree 0 .. ``max_degree`` leaves.

    Features [B, P, n] at positions [P, 2], channels taken together: [B, max_degree + 1] in float64.
    """
    low, high = positions.min(), positions.max()
    rows, columns = (legendre(t.double(), max_degree) for t in (2 * (positions - low) / (high - low) - 1).unbind(dim=1))
    degrees = [d for d in range(max_degree + 1) for _ in range(d + 1)]
    terms = [rows[i] * columns[d - i] for d in range(max_degree + 1) for i in range(d + 1)]
    # Columns by rising degree: the leading columns of one Q span the polynomials of every degree.
    q = torch.linalg.qr(torch.stack(terms, dim=1)).Q
    targets = features.double()
    coefficients = q.T @ targets  # [B, terms, n]
    beyond = (targets - q @ coefficients).square().sum(dim=(1, 2))
    of_degree = torch.zeros(len(features), max_degree + 1, dtype=torch.float64, device=features.device)
    of_degree.index_add_(1, torch.tensor(degrees, device=features.device), coefficients.square().sum(dim=2))
    # Summed from the highest degree down, so that a share of 1e-25 is not lost beside one.
    left = torch.cat([of_degree[:, 1:], beyond[:, None]], dim=1).flip(1).cumsum(1).flip(1)
    varies = left[:, :1] > ROUNDING * targets.square().sum(dim=(1, 2))[:, None]
    return torch.where(varies, left / left[:, :1], 0.0)


def effective_degree(left: Tensor) -> list[int | None]:
    """For each row of shares [B, degrees] the first degree that leaves at most 1 %; None where all leave more."""
    return [next((d for d, share in enumerate(row) if share <= 1 - EXPLAINED), None) for row in left.tolist()]


@torch.no_grad()
def heatmaps(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    resolution: int = 64,
    classes: list[int] | int | None = None,
    samples: int = 6,
) -> list[Path]:
    """A row a sample: the image and the heat map of each level, each from its own least to its largest value."""
    affine = few(method, samples, classes, seed=seed)
    features = level_features(
        method.averaged_generator.synthesis, affine, method.grid(resolution, resolution).flatten(0, 1)
    )
    scale = pixel_scale(resolution)
    images = render(method, affine, resolution)
    panels = [("image", image_grid(images, num_columns=1, scale=scale))]
    for i, level in enumerate(features):
        maps = heat_maps(level).unflatten(1, (resolution, resolution)).cpu()
        panels.append((f"level {i}", image_grid(hot(min_max_scaled(maps)), num_columns=1, scale=scale)))
    return [save_picture(side_by_side(panels), output, "heatmaps.png")]


def few(method: PolyINR, samples: int, classes: list[int] | int | None, *, seed: int) -> Tensor:
    """Affine parameters of ``samples`` images, of each class in turn."""
    check_at_least(1, samples=samples)
    labels = labels_for(method, classes, samples)
    return draw_affine(method, samples, seed=seed, labels=None if labels is None else labels[:samples])


@torch.no_grad()
def degrees(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    classes: list[int] | int | None = None,
    samples: int = 20,
    max_degree: int = 24,
) -> list[Path]:
    """The degree of the polynomial in the position that explains 99 % of a level's variance, and of the image's.

    A mean over ``samples`` images, as a picture, a table and JSON. A sample that needs more than ``max_degree`` counts as that,
    and the count is stated.
    """
    check_at_least(1, max_degree=max_degree)
    if max_degree >= FITTED_SIDE:
        raise ValueError(f"max_degree must be below {FITTED_SIDE}, got {max_degree}")
    affine = few(method, samples, classes, seed=seed)
    generator = method.averaged_generator
    positions = coordinate_grid(FITTED_SIDE, FITTED_SIDE, dtype=affine.dtype, device=affine.device).flatten(0, 1)
    features = level_features(generator.synthesis, affine, positions)
    named = {f"level {i}": level for i, level in enumerate(features)} | {
        "image": generator.synthesis.to_image(features[-1])
    }
    rows = []
    for name, values in named.items():
        found = effective_degree(unexplained(values, positions, max_degree=max_degree))
        reached = [max_degree if degree is None else degree for degree in found]
        rows.append(Reached(name, sum(reached) / len(reached), found.count(None)))
    return written_degrees(rows, output, samples=samples, max_degree=max_degree)


def written_degrees(rows: list[Reached], output: Path, *, samples: int, max_degree: int) -> list[Path]:
    facts = {
        "explained": EXPLAINED,
        "samples": samples,
        "max_degree": max_degree,
        "rows": [row._asdict() for row in rows],
    }
    table = [
        f"| of | degree that explains {EXPLAINED:.0%} | samples of {samples} that need more than {max_degree} |",
        "|---|---|---|",
        *(f"| {row.of} | {row.degree:.1f} | {row.beyond} |" for row in rows),
    ]
    path = save_picture(bars(rows), output, "degrees.png")
    written = [path, output / "degrees.json", output / "degrees.md"]
    written[1].write_text(json.dumps(facts, indent=2) + "\n")
    written[2].write_text("\n".join(table) + "\n")
    return written


def bars(rows: list[Reached], *, width: int = 64, height: int = 240) -> Image.Image:
    """A bar for each named value, its number on it; a mark at k + 1, the highest degree without activations, at level k."""
    font = ImageFont.load_default(size=14)
    top = max(*(row.degree for row in rows), float(len(rows) - 1))
    picture = Image.new("RGB", (width * len(rows) + 16, height + 64), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((8, 4), "degree in the position (line: level + 1)", fill="black", font=font)

    def place(value: float) -> int:
        return 44 + height - math.floor(value / top * height)

    for i, (name, value, _) in enumerate(rows):
        left = 16 + i * width
        draw.rectangle((left, place(value), left + width - 16, 44 + height), fill=(70, 110, 160))
        draw.text((left, place(value) - 18), f"{value:.1f}", fill="black", font=font)
        draw.text((left, 46 + height), name, fill="black", font=font)
        if name.startswith("level"):
            draw.line((left - 4, place(i + 1), left + width - 12, place(i + 1)), fill=(200, 60, 40), width=2)
    return picture
