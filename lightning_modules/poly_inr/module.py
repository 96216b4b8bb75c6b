"""Poly-INR as a training recipe: a polynomial generator against a critic, one update of each a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from generative.adversarial.losses import loss_pair
from generative.adversarial.projected import ProjectedCritic
from generative.averaging import averaged_copy
from generative.checks import check_at_least
from generative.inversion.search import space_with
from generative.networks.spectral import advance
from generative.rendering.coordinates import UNIT_WINDOW, Window, coordinate_grid
from generative.schedules import Steps, linear_decay
from lightning_modules.base import HasCritic, Invertible
from lightning_modules.critics import ask, check_slopes, class_features, get_ready, looked_through
from lightning_modules.poly_inr.networks import Generator
from lightning_modules.poly_inr.spaces import SPACES, GeneratorSpace
from lightning_modules.slopes import real_logits_and_r1

DECAY_FLOOR = 0.02
TRY_OUT = 64  # steps: whoever looks whether something runs need not care how often it is penalised


def reduced(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images [B, C, H, W] at ``size`` (height, width), each pixel the mean over its area."""
    return images if images.shape[2:] == size else F.interpolate(images, size=size, mode="area")


class PolyINR(Invertible, HasCritic):
    """Trains ``generator`` and ``critic`` with the adversarial loss pair named ``loss``.

    ``conditional``: whether the class labels of the data enter both networks. ``r1_gamma`` weighs the gradient
    penalty gamma / 2 E |grad D|^2 at real images, computed every ``r1_every``-th step and scaled up accordingly
    (0 switches it off). Over the last ``decay_share`` of the run's ``budget_kimg`` both learning
    rates fall linearly to ``DECAY_FLOOR`` of themselves. ``resolutions``: rows [from_kimg, pixels]: images and fakes are learned
    from at so many pixels a side, by means over areas of the data's, which the last row has; None: at the data's from the start.
    ``class_features``: by the mean features of so many images the classes are known to a projected critic (its
    ``feature_dim=320``) and the generator's embedding starts from (``embedding_dim=320``); 0: both start at random.
    """

    any_resolution = True
    truncates = True
    space_names = tuple(SPACES)
    pivot_space = "w"
    norms_setting = "+method.generator.normalize_latents=false"

    def __init__(
        self,
        *,
        num_classes: int,
        generator: Callable[..., Generator],
        critic: Callable[..., nn.Module],
        generator_optimizer: Callable[..., Optimizer],
        critic_optimizer: Callable[..., Optimizer],
        conditional: bool = True,
        loss: str = "logistic",
        r1_gamma: float = 0.1,
        r1_every: int = 8,
        budget_kimg: float,
        decay_share: float = 0.0,
        resolutions: list[list[float]] | None = None,
        class_features: int = 0,
        **given: Any,
    ) -> None:
        super().__init__(num_classes=num_classes if conditional else 0, **given)
        self.generator = generator(image_channels=self.image_shape[0], num_classes=self.num_classes)
        self.critic = critic(image_shape=self.image_shape, num_classes=self.num_classes)
        self.trained_against = looked_through(self.critic)
        check_slopes(self.critic, r1_gamma=r1_gamma)
        self.averaged_generator = averaged_copy(self.generator)
        self.latent_dim = self.generator.mapping.latent_dim
        self.make_generator_optimizer = generator_optimizer
        self.make_critic_optimizer = critic_optimizer
        self.critic_loss, self.generator_loss = loss_pair(loss)
        self.r1_gamma = r1_gamma
        self.r1_every = r1_every
        if r1_every < 1:
            raise ValueError(f"r1_every must be at least 1, got {r1_every}")
        if not 0.0 <= decay_share <= 1.0:
            raise ValueError(f"decay_share must be between 0 and 1, got {decay_share}")
        self.budget_images = round(budget_kimg * 1000)
        self.decay_share = decay_share
        check_at_least(0, class_features=class_features)
        if class_features > 0 and self.num_classes == 0:
            raise ValueError("method.class_features is of classes, and this run has none: leave it out")
        self.class_features = class_features
        self.resolutions = Steps(resolutions or [[0, self.image_shape[1]]], name="method.resolutions")
        self.check_resolutions()

    def check_resolutions(self) -> None:
        """ValueError where images would shrink, end at another size than the data's, or grow beyond the run's end or critic."""
        sides, starts, last = self.resolutions.values, self.resolutions.starts, self.image_shape[1]
        if sorted(sides) != sides:
            raise ValueError(f"method.resolutions is to grow, got {sides}")
        if sides[-1] != last:
            raise ValueError(
                f"method.resolutions ends with the data's {last} pixels, got {sides}: set datamodule.resolution, or the last row"
            )
        if len(sides) > 1 and starts[-1] >= self.budget_images:
            raise ValueError(
                f"method.resolutions grows to {last} pixels at {starts[-1] / 1000:g} kimg, and the run ends at "
                f"{self.budget_images / 1000:g}: give a larger max_kimg, or earlier rows"
            )
        if len(sides) > 1 and not getattr(self.critic, "any_size", False):
            raise ValueError(
                f"{type(self.critic).__name__} sees images of one size: with method.resolutions take critic@method.critic=projected"
            )

    @property
    def learning_size(self) -> int | None:  # type: ignore[override] # of most generators a constant
        return self.learning_shape[0] if len(self.resolutions.values) > 1 else None

    @property
    def keeps_norms(self) -> bool:  # type: ignore[override] # of most generators a constant
        return not self.generator.mapping.normalize_latents

    def on_fit_start(self) -> None:
        super().on_fit_start()
        get_ready(self.critic)
        if self.class_features > 0 and self.images_seen == 0:
            self.start_from_features(*self.trainer.datamodule.split("train"))  # type: ignore[attr-defined]

    def start_from_features(self, images: Tensor, labels: Tensor) -> None:
        """Condition on what the classes of the training images look like; ValueError where the networks have other sizes."""
        facts = {"num_classes": self.num_classes, "most": self.class_features}
        features = class_features(self.critic, images, labels, **facts)
        assert isinstance(self.critic, ProjectedCritic)
        self.critic.know_classes(features.to(self.device))
        for network in (self.generator, self.averaged_generator):
            rows = network.mapping.embedding.weight
            if rows.shape != features.shape:
                raise ValueError(
                    f"the features of a class are {features.shape[1]} numbers and the generator's embedding has {rows.shape[1]}: "
                    f"set method.generator.embedding_dim={features.shape[1]}"
                )
            rows.data.copy_(features)

    def configure_optimizers(self) -> list[Optimizer]:
        return [
            self.make_generator_optimizer(self.generator.parameters()),
            self.make_critic_optimizer(self.critic.parameters()),
        ]

    @property
    def learning_shape(self) -> tuple[int, int]:
        """Height and width at which it learns now."""
        _, height, width = self.image_shape
        side = self.resolutions.at(self.images_seen)
        return side, side * width // height

    def rate_factor(self) -> float:
        """1, and over the last ``decay_share`` of the budget down to ``DECAY_FLOOR``."""
        if self.decay_share == 0:
            return 1.0
        start = round(self.budget_images * (1.0 - self.decay_share))
        return linear_decay(self.images_seen, start=start, end=self.budget_images, floor=DECAY_FLOOR)

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        generator_optimizer, critic_optimizer = self.optimizers()  # type: ignore[attr-defined]
        self.set_rates(self.rate_factor())
        batch, penalize = self.seen(batch), self.penalizes()
        # One set of fakes serves both updates: each network is evaluated once on it. Only parts of a batch are drawn
        # anew for the second, since the graphs of all of them would be the memory of the whole.
        drawn = self.draw(batch) if self.accumulate == 1 else None
        styles: list[Tensor] = []

        def critic_objective(part: dict[str, Any]) -> Tensor:
            _, fake_images = drawn or self.draw(part)
            return self.critic_objective(part, fake_images.detach(), penalize=penalize)

        def generator_objective(part: dict[str, Any]) -> Tensor:
            w, fake_images = drawn or self.draw(part)
            styles.append(w.detach())
            return self.generator_objective(part, fake_images)

        # 1. The critic learns to tell the images from the fakes, 2. the generator from what the critic then says of these.
        advance(self.critic)
        self.update(critic_optimizer, critic_objective, batch)
        self.update(generator_optimizer, generator_objective, batch)
        # 3. The running mean of w, for truncation, and the average that is shown follow.
        labels = None if batch["label"] is None else self.gather(batch["label"])
        self.generator.mapping.track_average(self.gather(torch.cat(styles)), labels)
        self.move_average()
        self.count_images(batch["image"])

    def seen(self, batch: dict[str, Any]) -> dict[str, Any]:
        """``batch`` with images of the size that is learned now, and no labels where none enter."""
        shown = batch | {"image": reduced(batch["image"], self.learning_shape)}
        return shown if self.num_classes else shown | {"label": None}

    def penalizes(self) -> bool:
        """Whether R1 enters this step.

        ValueError where it would enter the first one alone, as heavy as it was to be over the whole run.
        """
        steps = self.budget_images // self.global_batch
        if self.r1_gamma > 0 and self.r1_every > max(steps, TRY_OUT):
            raise ValueError(
                f"method.r1_every={self.r1_every} is more than the {steps} steps of this run: give a smaller one, or "
                "method.r1_gamma=0"
            )
        return self.r1_gamma > 0 and self.images_seen // self.global_batch % self.r1_every == 0

    def draw(self, part: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Styles w [B, w_dim] and images for the numbers and labels of ``part``."""
        w = self.generator.mapping(self.training_latents(part), part["label"])
        affine = self.generator.heads(self.generator.broadcast(w))
        return w, self.generator.render(affine, self.grid(*self.learning_shape))

    def generator_objective(self, part: dict[str, Any], fake_images: Tensor) -> Tensor:
        loss = self.generator_loss(ask(self, fake_images, part, look="fakes for the generator"))
        self.record({"loss/generator": loss})
        return loss

    def critic_objective(self, part: dict[str, Any], fake_images: Tensor, *, penalize: bool) -> Tensor:
        """The critic's loss, with the penalty where ``penalize``."""
        real, penalty = real_logits_and_r1(
            lambda images: ask(self, images, part, look="images"), part["image"], penalize=penalize
        )
        fake = ask(self, fake_images, part, look="fakes")
        loss = self.critic_loss(real, fake)
        self.record({"loss/critic": loss, "score/real": real.mean(), "score/fake": fake.mean()})
        if penalty is None:
            return loss
        self.record({"penalty/r1": penalty})
        return loss + 0.5 * self.r1_gamma * self.r1_every * penalty

    def grid(self, height: int, width: int, window: Window = UNIT_WINDOW) -> Tensor:
        like = self.generator.mapping.average
        return coordinate_grid(height, width, window=window, device=like.device, dtype=like.dtype)

    def decode(
        self, latents: Tensor, labels: Tensor | None = None, *, image_size: int | None = None, psi: float = 1.0
    ) -> Tensor:
        height, width = self.image_shape[1:] if image_size is None else (image_size, image_size)
        return self.averaged_generator(latents, labels, self.grid(height, width), psi=psi)

    def compile_drawing(self) -> float:
        return self.averaged_generator.synthesis.compile_drawing()

    def space(
        self,
        name: str,
        labels: Tensor | None = None,
        *,
        samples: Tensor,
        settings: Mapping[str, Any] | None = None,
    ) -> GeneratorSpace:
        return space_with(
            SPACES[name],
            settings,
            generator=self.averaged_generator,
            positions=self.grid(*self.image_shape[1:]),
            labels=labels,
            samples=samples,
            sample_labels=self.balanced_labels(0, len(samples)),
        )

    def tunable(self) -> list[nn.Parameter]:
        return list(self.averaged_generator.synthesis.parameters())
