"""What a trained Poly-INR can show (dissertation, section 6.4.2): a task a function, run by generate.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import ImageDraw
from torch import Tensor

from generative.checks import check_at_least
from generative.rendering.images import image_grid, pixel_scale, save_animation, save_picture, side_by_side
from generative.rendering.upsampling import METHODS as CLASSICAL
from generative.rendering.upsampling import upsample as classical
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.tasks.samples import labels_for


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
    check_at_least(1, rows=rows)
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
    check_at_least(1, rows=rows)
    check_at_least(2, steps=steps)
    check_at_least(2, frames=frames)
    lines = lines_between_samples(method, rows, seed=seed, classes=classes)
    scale = pixel_scale(resolution)
    there_and_back = 0.5 - 0.5 * torch.cos(torch.arange(frames) * (2 * torch.pi / frames))
    written = []
    for space, points in (("z", lines.in_latents), ("affine", lines.in_affine)):
        strip = render(method, points(torch.linspace(0, 1, steps)).flatten(0, 1), resolution)
        picture = image_grid(strip, num_columns=steps, scale=scale)
        written.append(save_picture(picture, output, f"interpolate_{space}.png"))
        moving = render(method, points(there_and_back).transpose(0, 1).flatten(0, 1), resolution)
        pictures = [image_grid(images, num_columns=rows, scale=scale) for images in moving.split(rows)]
        path = output / f"interpolate_{space}.gif"
        save_animation(pictures, path)
        written.append(path)
    return written


@dataclass(frozen=True)
class End:
    """Where lines begin or end: latents [rows, latent_dim] and their classes [rows]."""

    z: Tensor
    labels: Tensor | None


@dataclass(frozen=True)
class Lines:
    """Straight lines from samples to others, a row each."""

    method: PolyINR
    start: End
    end: End

    @torch.no_grad()
    def in_affine(self, t: Tensor) -> Tensor:
        """Affine parameters [rows, T, levels, 3, n] at the positions t [T] of lines in their own space."""
        a, b = (self.method.averaged_generator.affine(end.z, end.labels) for end in (self.start, self.end))
        return torch.lerp(a[:, None], b[:, None], t.to(self.method.device).view(1, -1, 1, 1, 1))

    @torch.no_grad()
    def in_latents(self, t: Tensor) -> Tensor:
        """Affine parameters [rows, T, levels, 3, n] at the positions t [T] of lines in z."""
        generator, t = self.method.averaged_generator, t.to(self.method.device)
        rows = len(self.start.z)
        points = torch.lerp(self.start.z[:, None], self.end.z[:, None], t.view(1, -1, 1)).flatten(0, 1)
        if self.start.labels is None or self.end.labels is None:
            return generator.affine(points).unflatten(0, (rows, len(t)))
        # A class is a point of its own: between two of them the line runs in w, above the latents' line.
        repeated = [labels.repeat_interleave(len(t)) for labels in (self.start.labels, self.end.labels)]
        w_from, w_to = (generator.mapping(points, labels) for labels in repeated)
        w = torch.lerp(w_from, w_to, t.repeat(rows)[:, None])
        return generator.heads(generator.broadcast(w)).unflatten(0, (rows, len(t)))


def lines_between_samples(method: PolyINR, rows: int, *, seed: int, classes: list[int] | int | None) -> Lines:
    """From the samples 0 .. rows - 1 of ``seed`` to the next ``rows``; ``classes``: that of both ends, or from and to."""
    if isinstance(classes, int):
        classes = [classes]
    if classes is not None and len(classes) not in (1, 2):
        raise ValueError(f"classes names the class of both ends or the two of them, got {len(classes)}")
    z_from, z_to = method.latents(0, 2 * rows, seed=seed).split(rows)
    if method.num_classes == 0:
        if classes is not None:
            raise ValueError("this model is unconditional: leave out classes")
        return Lines(method, End(z_from, None), End(z_to, None))
    starts = [i % method.num_classes for i in range(rows)] if classes is None else [classes[0]] * rows
    ends = starts if classes is None else [classes[-1]] * rows
    from_labels, to_labels = (method.check_labels(torch.tensor(labels)) for labels in (starts, ends))
    return Lines(method, End(z_from, from_labels), End(z_to, to_labels))


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
    check_at_least(1, rows=rows)
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
