"""ReGene as a training recipe: a classifier, then a decoder of its latents; and the two learning at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from generative.averaging import averaged_copy
from generative.checks import check_at_least
from generative.networks.classifier import ClassifierNetwork
from generative.networks.convolutional_autoencoder import Decoder
from generative.precision import at_least_float32
from lightning_modules.base import Reconstructs
from lightning_modules.classification import Classification
from lightning_modules.regene.drawing import DrawsFromBank
from lightning_modules.regene.objective import Stage, check_window, decoder_loss, stage_at
from lightning_modules.steps import Objective
from metrics.features import EfficientNetLite

PERCEPTUAL = (
    "efficientnet_lite0"  # whose first convolution stands for that of VGG-16, and which judges nothing afterwards
)


class ReGene(DrawsFromBank, Reconstructs, Classification):
    """Trains ``backbone`` to name images for ``classifier_kimg``, then ``decoder`` to draw them from its latents by eq. 6.

    The rate of the classifier is that of ``optimizer`` times ``decay`` after every ``decay_kimg`` (0: constant). ``stages``
    are the weights of eq. 6's terms and the decoder's rate, by the thousand images that the decoder has learned from. Its
    perceptual term compares activations of EfficientNet-Lite0's first convolution.
    ``joint``: both learn at once from the first image on, by eq. 6 plus ``joint`` times the classifier's loss; 0 is an
    autoencoder with a linear layer that nobody trained. ``weights`` of a classifier, with ``classifier_kimg: 0``, are the first
    run of a chain.
    """

    stated_arguments = ("budget_kimg", "warmup_share", "label_smoothing")
    weights_source = "a run of method=regene, or of method=classifier with this backbone"

    def __init__(
        self,
        *,
        backbone: Callable[..., ClassifierNetwork],
        decoder: Callable[..., Decoder],
        stages: list[dict[str, float]],
        classifier_kimg: float,
        decay: float = 0.99,
        decay_kimg: float = 0.0,
        joint: float | None = None,
        ssim_window: int = 11,
        **given: Any,
    ) -> None:
        super().__init__(backbone=backbone, budget_kimg=1.0, **given)
        check_at_least(0, classifier_kimg=classifier_kimg, decay=decay, decay_kimg=decay_kimg)
        if joint is not None:
            check_at_least(0, joint=joint)
        if joint is not None and classifier_kimg > 0:
            raise ValueError(f"joint={joint:g} trains both at once: set classifier_kimg to 0, got {classifier_kimg:g}")
        if joint is None and classifier_kimg == 0 and self.weights is None:
            raise ValueError(
                "the decoder learns from a classifier: set classifier_kimg above 0, weights to the last.ckpt of "
                f"{self.weights_source}, or joint to the weight of the classifier's loss"
            )
        self.decoder = decoder(latent_shape=latent_shape_of(self.network), image_shape=self.image_shape)
        self.averaged_decoder = averaged_copy(self.decoder)
        self.stages = [Stage(**stage) for stage in stages]
        if any(stage.ssim > 0 for stage in self.stages):
            check_window(ssim_window, self.image_shape)
        stage_at(self.stages, 0)
        self.classifier_images = round(1000 * classifier_kimg)
        self.decay, self.decay_images = decay, round(1000 * decay_kimg)
        self.joint = joint
        self.ssim_window = ssim_window
        self.layer: Callable[[Tensor], Tensor] | None = None  # of the perceptual term

    @property
    def trained_against(self) -> tuple[str, ...]:  # type: ignore[override]
        """Its classifier and, with a perceptual term, the network of that."""
        return (*super().trained_against, *((PERCEPTUAL,) if self.compares_activations else ()))

    @property
    def compares_activations(self) -> bool:
        return any(stage.perceptual > 0 for stage in self.stages)

    def on_fit_start(self) -> None:
        """The network of the perceptual term is no part of this one: checkpoints do not hold it. ValueError without its weights."""
        super().on_fit_start()
        if self.compares_activations:
            try:
                network = EfficientNetLite(0, side=min(self.image_shape[1:]))
            except ValueError as error:
                raise ValueError(f"{error}, or set the stages' weight of perceptual to 0") from error
            self.layer = network.to(self.device).first_convolution

    def configure_optimizers(self) -> Optimizer:
        """One, with a group for each network: what gets no gradient in a step stays as it is."""
        groups = [{"params": list(network.parameters())} for network in (self.network, self.decoder)]
        return self.make_optimizer(groups)

    @property
    def names_images(self) -> bool:
        """Whether the classifier learns alone now."""
        return self.joint is None and self.images_seen < self.classifier_images

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        # 1. The classifier learns to name the images; once its turn is over, the decoder learns to draw them from its latents.
        #    Or both learn at once.
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        self.use_rate(optimizer)
        self.update(optimizer, self.turn(), batch)
        # 2. The averages follow, 3. and where its turn ends the classifier stays what its average is.
        self.move_average()
        self.settle_classifier()
        self.count_images(batch["image"])

    def turn(self) -> Objective:
        """What is learned in this step."""
        if self.names_images:
            return self.objective
        return self.decoding if self.joint is None else self.naming_and_decoding

    def use_rate(self, optimizer: LightningOptimizer) -> None:
        """That of the schedule of whoever learns in this step."""
        naming = optimizer.defaults["lr"] * self.rate_factor()
        for group in optimizer.param_groups:
            group["lr"] = naming if self.names_images else self.stage.lr

    def settle_classifier(self) -> None:
        """At the end of its last step: from here on neither it nor its average moves, and latents are those of both."""
        after = self.images_seen + self.global_batch
        if self.joint is None and self.images_seen < self.classifier_images <= after:
            self.network.load_state_dict(self.averaged_network.state_dict())

    def rate_factor(self) -> float:
        """Of the classifier: a step decay."""
        return float(self.decay ** (self.images_seen // self.decay_images)) if self.decay_images else 1.0

    @property
    def stage(self) -> Stage:
        """That of the decoder now."""
        return stage_at(self.stages, self.images_seen - self.classifier_images)

    def decoding(self, part: dict[str, Any]) -> Tensor:
        """Eq. 6 of the decoder's images of latents that stay as they are (eq. 4)."""
        with torch.no_grad():
            latents = self.features(part["image"])
        return self.drawing_loss(latents, part["image"])

    def naming_and_decoding(self, part: dict[str, Any]) -> Tensor:
        """Eq. 6, with gradients for the encoder, and the classifier's loss."""
        latents = self.network.features(part["image"])
        drawing = self.drawing_loss(latents, part["image"])
        if not self.joint:
            return drawing
        return drawing + self.joint * self.class_loss(at_least_float32(self.network.classify(latents)), part["label"])

    def drawing_loss(self, latents: Tensor, images: Tensor) -> Tensor:
        found = decoder_loss(
            self.decoder(latents), 0.5 * (images + 1.0), self.stage, window=self.ssim_window, layer=self.layer
        )
        total = found.pop("total")
        self.record({f"loss/{name}": value for name, value in found.items()})
        return total

    @property
    def encoder_state(self) -> int:
        return self.images_seen if self.joint is not None else min(self.images_seen, self.classifier_images)

    def draw_latents(self, latents: Tensor) -> Tensor:
        drawn: Tensor = self.averaged_decoder(latents)
        return 2.0 * at_least_float32(drawn) - 1.0

    @torch.no_grad()
    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.draw_latents(self.features(images))


def latent_shape_of(network: ClassifierNetwork) -> tuple[int, int, int]:
    """Of an encoder its last map's; of a network that pools, a map of one pixel."""
    shape: tuple[int, int, int] = getattr(network, "latent_shape", (network.num_features, 1, 1))
    return shape
