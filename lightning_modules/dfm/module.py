"""The generator of Deep Fourier Machines as a training recipe (thesis, section 4.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from generative.averaging import averaged_copy
from generative.checks import check_at_least
from generative.randomness import Stream
from lightning_modules.base import Draws, ImageData, Reconstructs
from lightning_modules.dfm.hyper import CoefficientDecoder, pixels
from lightning_modules.dfm.latents import AT_ONCE, ImageEncoder, LatentLaws, Latents, LatentTable, found_latents
from lightning_modules.dfm.networks import Shape, pixel_positions
from lightning_modules.dfm.objective import Loss, Rate, as_images, as_rows, at_chosen, chosen_pixels

STARTS = 128  # images of a table, among which the search for a new one starts at the nearest
SEARCH_RATE = 0.03


class DFM(Draws, Reconstructs):
    """Trains ``decoder``, from latents to networks of Fourier layers that draw an image each, down eq. 4.8.

    ``shape`` of the networks: width, depth and kernel. ``latents``: a table of one for each training image, or an encoder.
    ``weight`` is lambda, ``noise`` the deviation of what is added to a latent while training. ``rates`` of ``decoder`` and
    ``latents`` run from a start to an end along a line over ``budget_kimg``. ``num_pixels``: how many of an image's pixels
    a step looks at, None: all. ``shift``: of all pixels, in pixels; the kernel ``cas`` needs 0.25 (see :func:`pixel_positions`).

    A sample is drawn for a latent of a law that is fitted to those of the training images, by class if ``conditional``.
    ``sampling`` is ``gaussian`` or the mixture of ``components``, ``mixture_10``; None: the mixture. An encoder reconstructs
    an image in one pass. A table knows no new image: its latent is searched for down eq. 4.8, in ``search_steps`` from
    the latent of the nearest of 128 images of the table.
    """

    any_resolution = True  # the networks take any position
    weights_source = "a run of method=dfm on as many images"

    def __init__(
        self,
        *,
        num_classes: int,
        shape: Callable[..., Shape],
        latents: Callable[..., Latents],
        decoder: Callable[..., CoefficientDecoder],
        optimizer: Callable[..., Optimizer],
        rates: dict[str, list[float]],
        latent_dim: int,
        budget_kimg: float,
        weight: float = 1e-3,
        noise: float = 0.0,
        num_pixels: int | None = None,
        shift: float = 0.0,
        conditional: bool = False,
        components: int = 10,
        search_steps: int = 100,
        sampling: str | None = None,
        **given: Any,
    ) -> None:
        super().__init__(num_classes=num_classes if conditional else 0, **given)
        check_at_least(0, weight=weight, noise=noise, search_steps=search_steps)
        if budget_kimg <= 0:
            raise ValueError(f"budget_kimg must be above 0, got {budget_kimg}")
        if conditional and num_classes == 0:
            raise ValueError("conditional=true takes data with classes, and these have none: set conditional to false")
        if rates.keys() != {"decoder", "latents"} or any(len(rate) != 2 for rate in rates.values()):
            raise ValueError(f"rates are those of decoder and latents, a start and an end each, got {rates}")
        _, self.height, self.width = self.image_shape
        if num_pixels is not None and not 1 <= num_pixels <= self.height * self.width:
            raise ValueError(
                f"num_pixels must be from 1 to the {self.height * self.width} of an image, or null for all, got {num_pixels}"
            )
        self.shape = shape(channels=self.image_shape[0])
        self.latents = latents(image_shape=self.image_shape, latent_dim=latent_dim)
        self.decoder = decoder(shape=self.shape, latent_dim=latent_dim)
        self.averaged_latents, self.averaged_decoder = averaged_copy(self.latents), averaged_copy(self.decoder)
        self.laws = LatentLaws(num_classes=self.num_classes, latent_dim=latent_dim, components=components)
        self.samplings = self.laws.names
        self.use_sampling(self.samplings[-1] if sampling is None else sampling)
        self.make_optimizer = optimizer
        self.rates = {name: Rate(*rate) for name, rate in rates.items()}
        self.budget_images = round(1000 * budget_kimg)
        self.weight, self.noise = weight, noise
        self.num_pixels, self.shift = num_pixels, shift
        self.search_steps = search_steps

    def on_fit_start(self) -> None:
        """ValueError where the table is of another number of images."""
        super().on_fit_start()
        if isinstance(self.latents, LatentTable):
            datamodule: ImageData = self.trainer.datamodule  # type: ignore[attr-defined]
            self.latents.check_number(len(datamodule.split("train")[1]), name=datamodule.name)

    def configure_optimizers(self) -> Optimizer:
        """One, with a group for each rate: one pass back gives both their gradients."""
        groups = [
            {"params": list(network.parameters()), "name": name, "by_row": by_row, "lr": self.rates[name].start}
            for name, network, by_row in (
                ("decoder", self.decoder, False),
                ("latents", self.latents, self.latents.is_table),
            )
        ]
        return self.make_optimizer(groups)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        self.use_rates(optimizer)
        # 1. The decoder and the latents of these images learn together, 2. the averages that are shown follow.
        self.update(optimizer, self.objective, batch)
        self.move_average()
        self.count_images(batch["image"])

    def use_rates(self, optimizer: LightningOptimizer) -> None:
        """Those at the step's middle: the last step has none of 0."""
        middle = self.images_seen + self.global_batch // 2
        for group in optimizer.param_groups:
            group["lr"] = self.rates[group["name"]].at(middle, budget=self.budget_images)

    def objective(self, part: dict[str, Any]) -> Tensor:
        """Eq. 4.8 of a part of a batch; its noise and its pixels are those that the images' numbers in the run say."""
        images, first = part["image"], part["first_number"]
        z = self.latents(part["index"], images)
        seen = z
        if self.noise:
            drawn = Stream(self.seed, "noise of latents").normal(first, len(z), z.shape[1])
            seen = z + self.noise * drawn.to(z)
        points, wanted = self.points(images), as_rows(images)
        if self.num_pixels is not None:
            stream = Stream(self.seed, "pixels")
            numbers = chosen_pixels(stream, first, len(z), total=len(points), chosen=self.num_pixels).to(z.device)
            points, wanted = points[numbers], at_chosen(wanted, numbers)
        loss = Loss.of(wanted, pixels(self.decoder(seen), points, self.shape), z)
        total = loss.total(self.weight).mean()
        self.record(
            {"loss/total": total, "score/squared_error": loss.pixels.mean(), "score/latent_norm": loss.norm.mean()}
        )
        return total

    def points(self, like: Tensor, *, height: int | None = None, width: int | None = None) -> Tensor:
        """The positions [H W, 2] of the pixels of an image, by default of the data's size, as ``like`` is kept."""
        return pixel_positions(height or self.height, width or self.width, shift=self.shift).to(like)

    def decode(self, z: Tensor, *, image_size: int | None = None) -> Tensor:
        """Latents [B, latent_dim] -> images [B, C, H, W] in (-1, 1) of any size, under the averaged weights."""
        height, width = (self.height, self.width) if image_size is None else (image_size, image_size)
        numbers = self.averaged_decoder(z)
        drawn = pixels(numbers, self.points(numbers, height=height, width=width), self.shape)
        return as_images(drawn, height, width)

    @torch.no_grad()
    def sample(
        self,
        first: int,
        count: int,
        *,
        seed: int,
        labels: Tensor | Sequence[int] | None = None,
        image_size: int | None = None,
    ) -> Tensor:
        chosen = self.balanced_labels(first, count) if labels is None else self.check_labels(labels, count=count)
        numbers = range(first, first + count)
        z = self.laws_of_now().draw(str(self.sampling), numbers, chosen, Stream(seed, "latents of a law"))
        parts = z.to(self.device).type(self.dtype).split(AT_ONCE)
        return torch.cat([self.decode(part, image_size=image_size) for part in parts])

    def laws_of_now(self) -> LatentLaws:
        """The laws of the latents of now; ValueError where these need the training images, and they are not there."""
        if int(self.laws.fitted_at) != self.images_seen:
            self.fit_laws(None if self._trainer is None else getattr(self._trainer, "datamodule", None))
        return self.laws

    def conclude(self, datamodule: ImageData) -> None:
        self.fit_laws(datamodule)

    def fit_laws(self, datamodule: ImageData | None) -> None:
        needs_data = self.num_classes > 0 or not self.latents.is_table
        if needs_data and datamodule is None:
            raise ValueError(
                "the laws of latents are fitted at the end of a run, and this is a state from before it: give the run's "
                "last.ckpt, or go on with it, resume=auto"
            )
        images, labels = datamodule.split("train") if needs_data and datamodule is not None else (None, None)
        self.laws.fit(self.learned_latents(images), labels, images_seen=self.images_seen)

    def learned_latents(self, images: Tensor | None) -> Tensor:
        """The latents [N, latent_dim] of all training images [N, C, H, W], under the averaged weights."""
        return self.averaged_latents.of_training(images)

    @torch.no_grad()
    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.cat([self.decode(self.codes(part)) for part in images.split(AT_ONCE)])

    def codes(self, images: Tensor) -> Tensor:
        """The latents [B, latent_dim] of images [B, C, H, W], new ones too."""
        if isinstance(self.averaged_latents, ImageEncoder):
            return self.averaged_latents.encode(images)
        assert isinstance(self.averaged_latents, LatentTable)
        rows = self.averaged_latents.rows.detach()
        rows = rows[torch.linspace(0, len(rows) - 1, min(STARTS, len(rows))).long().to(rows.device)]
        nearest = torch.cdist(images.flatten(1), self.decode(rows).flatten(1)).argmin(dim=1)
        with torch.inference_mode(False), torch.enable_grad():
            wanted = as_rows(images.clone())
            points = self.points(wanted)

            def loss(z: Tensor) -> Tensor:
                drawn = pixels(self.averaged_decoder(z), points, self.shape)
                return Loss.of(wanted, drawn, z).total(self.weight)

            return found_latents(loss, rows[nearest].clone(), steps=self.search_steps, rate=SEARCH_RATE)
