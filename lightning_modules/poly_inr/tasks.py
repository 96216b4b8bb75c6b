"""What a trained Poly-INR can show (dissertation, section 6.4.2): a task a function, run by generate.py."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import ImageDraw
from torch import Tensor

from generative.rendering.images import image_grid, pixel_scale, save_animation, save_picture, side_by_side
from generative.rendering.upsampling import METHODS as CLASSICAL
from generative.rendering.upsampling import upsample as classical
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.tasks.samples import check_at_least, labels_for


@torch.no_grad()
def render(method: PolyINR, affine: Tensor, resolution: int, *, window: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """Affine parameters [B, levels, 3, n] at ``resolution`` squared: [B, C, resolution, resolution] on the CPU."""
    return method.averaged_generator.render(affine, method.grid(resolution, resolution, window)).cpu()


@torch.no_grad()
def draw_affine(method: PolyINR, count: int, *, seed: int, labels: Tensor | None, psi: float = 1.0) -> Tensor:
    """Affine parameters of the images 0 .. count - 1 of ``seed``: the images that `sample` draws."""
    z = method.latents(0, count, seed=seed)
    return method.averaged_generator.affine(z, labels, psi=psi)


def upsample(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    resolution: int = 64,
    classes: list[int] | int | None = None,
    rows: int = 4,
) -> list[Path]:
    """The same codes drawn at ``resolution`` by the polynomial, beside the small images upsampled classically.

    The grid puts pixel centres on the corners of the square; so do the upsamplers, or the comparison would carry a
    zoom of several per cent.
    """
    check_at_least("rows", rows, 1)
    labels = labels_for(method, classes, rows)
    count = 5 * rows if labels is None else len(labels)
    columns = count // rows
    affine = draw_affine(method, count, seed=seed, labels=labels)
    native = method.image_shape[1]
    small = render(method, affine, native)
    panels = [(f"{name}, {native} to {resolution}", classical(small, resolution, method=name)) for name in CLASSICAL]
    panels.append((f"Poly-INR at {resolution}", render(method, affine, resolution)))
    scale = pixel_scale(resolution)
    sheet = side_by_side([(title, image_grid(images, num_columns=columns, scale=scale)) for title, images in panels])
    return [save_picture(sheet, output, f"upsample_{native}to{resolution}px.png")]


def interpolate(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    resolution: int = 64,
    classes: list[int] | int | None = None,
    rows: int = 4,
    steps: int = 9,
    frames: int = 60,
) -> list[Path]:
    """From one sample to another, on a straight line in the latent space z and in the space of affine parameters.

    A strip of ``steps`` images for each of ``rows`` pairs, and an animation of ``frames`` frames there and back.
    With classes, both ends of a pair are of one class (the row's), unless ``classes`` names two: from, to.
    """
    check_at_least("rows", rows, 1)
    check_at_least("steps", steps, 2)
    check_at_least("frames", frames, 2)
    if isinstance(classes, int):
        classes = [classes]
    if classes is not None and len(classes) not in (1, 2):
        raise ValueError(f"classes names the class of both ends or the two of them, got {len(classes)}")
    z = method.latents(0, 2 * rows, seed=seed)
    from_labels = to_labels = None
    if method.num_classes > 0:
        asked = list(range(method.num_classes)) if classes is None else classes
        starts = [asked[0]] * rows if classes is not None else [asked[i % len(asked)] for i in range(rows)]
        ends = [asked[-1]] * rows if classes is not None else starts
        from_labels, to_labels = method.check_labels(torch.tensor(starts)), method.check_labels(torch.tensor(ends))
    elif classes is not None:
        raise ValueError("this model is unconditional: leave out classes")

    @torch.no_grad()
    def along(t: Tensor, space: str) -> Tensor:
        """Affine parameters [rows, T, levels, 3, n] at the positions t [T] of the lines."""
        generator = method.averaged_generator
        t = t.to(method.device)
        if space == "affine":
            a, b = generator.affine(z[:rows], from_labels), generator.affine(z[rows:], to_labels)
            weight = t.view(1, -1, 1, 1, 1)
            return torch.lerp(a[:, None], b[:, None], weight)
        points = torch.lerp(z[:rows, None], z[rows:, None], t.view(1, -1, 1)).flatten(0, 1)
        if from_labels is None or to_labels is None:
            return generator.affine(points).unflatten(0, (rows, len(t)))
        # A class is a point of its own: between two of them the line runs in w, above the latents' line.
        repeated = [labels.repeat_interleave(len(t)) for labels in (from_labels, to_labels)]
        w_from, w_to = (generator.mapping(points, labels) for labels in repeated)
        w = torch.lerp(w_from, w_to, t.repeat(rows)[:, None])
        return generator.heads(generator.broadcast(w)).unflatten(0, (rows, len(t)))

    written = []
    there_and_back = 0.5 - 0.5 * torch.cos(torch.arange(frames) * (2 * torch.pi / frames))
    for space in ("z", "affine"):
        strip = render(method, along(torch.linspace(0, 1, steps), space).flatten(0, 1), resolution)
        scale = pixel_scale(resolution)
        picture = image_grid(strip, num_columns=steps, scale=scale)
        written.append(save_picture(picture, output, f"interpolate_{space}.png"))
        moving = render(method, along(there_and_back, space).transpose(0, 1).flatten(0, 1), resolution)
        pictures = [image_grid(images, num_columns=rows, scale=scale) for images in moving.split(rows)]
        path = output / f"interpolate_{space}.gif"
        save_animation(pictures, path)
        written.append(path)
    return written


def extrapolate(
    method: PolyINR,
    output: Path,
    *,
    seed: int,
    resolution: int = 96,
    margin: float = 0.25,
    classes: list[int] | int | None = None,
    rows: int = 4,
) -> list[Path]:
    """Beyond the border: the grid [-margin, 1 + margin] squared, the trained square [0, 1] framed in yellow."""
    check_at_least("rows", rows, 1)
    if margin <= 0:
        raise ValueError(f"margin must be positive, got {margin}")
    labels = labels_for(method, classes, rows)
    count = 10 * rows if labels is None else len(labels)
    affine = draw_affine(method, count, seed=seed, labels=labels)
    images = render(method, affine, resolution, window=(-margin, 1 + margin))
    columns, gap = count // rows, 2
    picture = image_grid(images, num_columns=columns, gap=gap).convert("RGB")
    draw = ImageDraw.Draw(picture)
    low = margin / (1 + 2 * margin) * (resolution - 1)
    high = (1 + margin) / (1 + 2 * margin) * (resolution - 1)
    for i in range(count):
        left, top = gap + (i % columns) * (resolution + gap), gap + (i // columns) * (resolution + gap)
        draw.rectangle((left + low, top + low, left + high, top + high), outline="yellow")
    return [save_picture(picture, output, "extrapolate.png")]
