"""Inversion: the latent, the style or the affine parameters that draw a given image (section 6.4.2), and pivotal tuning.

Every image of a batch is optimised on its own: losses are summed over images, so the size of a batch changes nothing but speed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from generative.schedules import warmup_cosine
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.tasks.samples import check_at_least
from metrics.features import LITE_SIDES, EfficientNetLite
from metrics.functional import deep_feature_distance

SPACES = ("z", "w", "affine")
NUM_SAMPLES = 32  # of each class: the nearest one is where the search starts, and their spread is its unit of length
LEAST_SIDE = 64  # pixels a side at which the perceptual loss looks at small images
PERCEPTUAL = 0.1  # weight of that loss unless asked for another
TOO_SMALL = 16  # pixels a side below which images have nothing that it knows: there the default is 0
# Of Adam, in units of the samples' spread: best of 0.01 to 0.1 on 12 training images of Fashion-MNIST. The many numbers of the
# affine space move an image further than the few of z at the same rate.
RATES = {"z": 0.1, "w": 0.1, "affine": 0.03}
PIXEL_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"l2": torch.square, "l1": torch.abs}

ImageLoss = Callable[[Tensor], Tensor]  # images [B, C, H, W] -> the loss of each [B]


@dataclass(frozen=True)
class Reconstruction:
    """``pixel`` (l2 or l1, a mean over pixels) plus ``perceptual`` times the distance in EfficientNet-Lite0's stages."""

    pixel: str
    perceptual: float
    network: EfficientNetLite | None

    def to(self, targets: Tensor) -> ImageLoss:
        """The loss of each image against its target [B, C, H, W]."""
        distance = PIXEL_LOSSES[self.pixel]
        with torch.no_grad():
            stages = [] if self.network is None else self.network.stages(targets.float())

        def loss(images: Tensor) -> Tensor:
            each = distance(images - targets).mean(dim=(1, 2, 3))
            if self.network is None:
                return each
            return each + self.perceptual * deep_feature_distance(self.network.stages(images.float()), stages).to(each)

        return loss


def make_loss(method: PolyINR, *, pixel: str, perceptual: float | None) -> Reconstruction:
    """ValueError where the loss is none, or where the weights of its network are missing."""
    if perceptual is None:
        perceptual = PERCEPTUAL if method.image_shape[1] >= TOO_SMALL else 0.0
    if pixel not in PIXEL_LOSSES:
        raise ValueError(f"pixel must be one of {', '.join(PIXEL_LOSSES)}, got {pixel!r}")
    if not 0 <= perceptual < float("inf"):
        raise ValueError(f"perceptual must be finite and at least 0, got {perceptual}")
    if perceptual == 0:
        return Reconstruction(pixel, perceptual, None)
    side = min(max(method.image_shape[1], LEAST_SIDE), LITE_SIDES[0])
    try:
        network = EfficientNetLite(0, side=side)
    except ValueError as error:
        raise ValueError(f"{error}, or leave the perceptual loss out: perceptual=0") from error
    return Reconstruction(pixel, perceptual, network.to(method.device))


def affine_of(generator: Generator, point: Tensor, labels: Tensor | None, space: str) -> Tensor:
    """A point of ``space`` as affine parameters [B, levels, 3, n]."""
    if space == "z":
        return generator.affine(point, labels)
    return generator.heads(generator.broadcast(point)) if space == "w" else point


@torch.no_grad()
def point_of(generator: Generator, z: Tensor, labels: Tensor | None, space: str) -> Tensor:
    """The latent z [B, latent_dim] as a point of ``space``."""
    if space == "z":
        return z
    return generator.mapping(z, labels) if space == "w" else generator.affine(z, labels)


class Inversion:
    """Embeds images [N, C, H, W] in [-1, 1] on the method's device.

    ``steps`` of Adam, its ``rate`` in units of the samples' spread, by default that of the space in `RATES`.
    """

    def __init__(
        self, method: PolyINR, loss: Reconstruction, *, seed: int, steps: int, rate: float | None, batch_size: int
    ) -> None:
        check_at_least("steps", steps, 1)
        check_at_least("batch_size", batch_size, 1)
        if rate is not None and not 0 < rate < float("inf"):
            raise ValueError(f"rate must be positive and finite, got {rate}")
        self.method, self.generator, self.loss = method, method.averaged_generator, loss
        self.steps, self.batch_size = steps, batch_size
        self.rates = RATES if rate is None else dict.fromkeys(SPACES, rate)
        self.samples = method.latents(0, NUM_SAMPLES, seed=seed, stream="inversion")
        self.positions = method.grid(*method.image_shape[1:])

    def unit(self, space: str) -> Tensor:
        """Standard deviation of the numbers that samples have in ``space``: one for z and w, one a level and row of A_i."""
        labels = self.method.balanced_labels(0, NUM_SAMPLES)
        points = point_of(self.generator, self.samples, labels, space)
        return points.std() if space != "affine" else points.std(dim=(0, 3), keepdim=True)

    @torch.no_grad()
    def nearest_samples(self, targets: Tensor, labels: Tensor | None) -> Tensor:
        """For each target the latent of the nearest of ``NUM_SAMPLES`` samples of its class, by pixels."""
        if labels is None:
            return self.samples[self.distances(targets, None).argmin(dim=1)]
        found = self.samples.new_empty(len(targets), self.samples.shape[1])
        for label in labels.unique():
            of_class = labels == label
            found[of_class] = self.samples[self.distances(targets[of_class], label).argmin(dim=1)]
        return found

    def distances(self, targets: Tensor, label: Tensor | None) -> Tensor:
        """Of each target [B, C, H, W] to each sample of one class, over all pixels: [B, NUM_SAMPLES]."""
        labels = None if label is None else label.expand(NUM_SAMPLES)
        affine = self.generator.affine(self.samples, labels).split(self.batch_size)
        drawn = torch.cat([self.generator.render(part, self.positions) for part in affine])
        return torch.cdist(targets.flatten(1), drawn.flatten(1))

    def embed(self, targets: Tensor, labels: Tensor | None, *, space: str) -> Tensor:
        """Affine parameters [N, levels, 3, n] that draw the targets, by a search in ``space``."""
        unit, found = self.unit(space), []
        for batch in torch.arange(len(targets)).split(self.batch_size):
            asked = None if labels is None else labels[batch]
            z = self.nearest_samples(targets[batch], asked)
            start = point_of(self.generator, z, asked, space)
            loss = self.loss.to(targets[batch])
            found.append(self.search(loss, start, asked, space=space, unit=unit, steps=self.steps)[0])
        return torch.cat(found)

    def search(
        self, loss: ImageLoss, start: Tensor, labels: Tensor | None, *, space: str, unit: Tensor, steps: int
    ) -> tuple[Tensor, Tensor]:
        """Adam from ``start``, its rate in ``unit`` falling to 0 over half a cosine: affine parameters, their losses [B]."""
        offset, rate = torch.zeros_like(start, requires_grad=True), self.rates[space]
        optimizer = torch.optim.Adam([offset], lr=rate)

        def drawn() -> tuple[Tensor, Tensor]:
            affine = affine_of(self.generator, start + unit * offset, labels, space)
            return affine, loss(self.generator.render(affine, self.positions))

        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * warmup_cosine(step, warmup=0, end=steps)
            (offset.grad,) = torch.autograd.grad(drawn()[1].sum(), offset)
            optimizer.step()
        with torch.no_grad():
            return drawn()

    def best_classes(self, targets: Tensor) -> Tensor:
        """The class of each target in which a short search for z, a tenth of the steps, by pixels alone, leaves least."""
        unit, chosen = self.unit("z"), []
        pixels = Reconstruction(self.loss.pixel, 0.0, None)
        for batch in targets.split(self.batch_size):
            losses = []
            for group in range(self.method.num_classes):
                labels = torch.full((len(batch),), group, device=batch.device)
                start = self.nearest_samples(batch, labels)
                short = max(1, self.steps // 10)
                losses.append(self.search(pixels.to(batch), start, labels, space="z", unit=unit, steps=short)[1])
            chosen.append(torch.stack(losses).argmin(dim=0))
        return torch.cat(chosen)

    def tuned(self, pivots: Tensor, targets: Tensor, *, steps: int, rate: float) -> Generator:
        """Pivotal tuning (Roich et al. 2021): a copy of the generator whose synthesis network draws the targets at ``pivots``."""
        generator = copy.deepcopy(self.generator)
        weights = list(generator.synthesis.requires_grad_(True).parameters())
        optimizer = torch.optim.Adam(weights, lr=rate)
        batches = list(zip(pivots.split(self.batch_size), targets.split(self.batch_size), strict=True))
        losses = [self.loss.to(batch) for _, batch in batches]
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * warmup_cosine(step, warmup=0, end=steps)
            optimizer.zero_grad()
            for (affine, _), loss in zip(batches, losses, strict=True):
                (loss(generator.render(affine, self.positions)).sum() / len(targets)).backward()
            optimizer.step()
        return generator.requires_grad_(False)
