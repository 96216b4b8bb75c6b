"""What the learned parts share: their networks, how they translate, and the inputs that samples are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from generative.adversarial.losses import loss_pair
from generative.averaging import averaged_copy
from generative.checks import check_at_least, check_choice
from generative.precision import at_least_float32
from generative.randomness import Stream, permutation
from generative.rendering.images import from_uint8, to_uint8
from lightning_modules.base import HasCritic, ImageData, Translates

LOSSES = ("wasserstein", "hinge")  # the text's, and a bounded one


class Bank(nn.Module):
    """``size`` rows uint8 [size, ...] with a class each, kept in checkpoints, so that a model draws without its data."""

    rows: Tensor
    labels: Tensor

    def __init__(self, size: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, *shape, dtype=torch.uint8))
        self.register_buffer("labels", torch.full((size,), -1))

    @property
    def is_filled(self) -> bool:
        return bool((self.labels >= 0).all())

    @property
    def has_classes(self) -> bool:
        """Whether rows are of several classes."""
        return bool((self.labels != self.labels[0]).any())

    def fill(self, rows: Tensor, labels: Tensor) -> None:
        """Keep as many of ``rows`` [N, ...] as there is room for, of each class in turn; always the same, some twice."""
        order = torch.from_numpy(permutation(0, 0, len(rows), name="inputs"))
        of_class = [order[labels[order] == label] for label in labels.unique().tolist()]
        turns = [divmod(k, len(of_class)) for k in range(len(self.rows))]
        chosen = torch.stack([of_class[label][turn % len(of_class[label])] for turn, label in turns])
        self.rows.copy_(rows[chosen])
        self.labels.copy_(labels[chosen])

    def drawn(self, first: int, count: int, *, seed: int, name: str, labels: Tensor | None = None) -> Tensor:
        """A row for each number ``first .. first + count - 1``, of its class where ``labels`` [count] say one: uint8 [count, ...].

        Rows of zeros for a class that has none.
        """
        uniform = Stream(seed, name).uniform(first, count, 1)[:, 0].to(self.rows.device)
        if labels is None:
            return self.rows[(uniform * len(self.rows)).long()]
        own = labels.to(self.labels.device)[:, None] == self.labels
        place = (uniform * own.sum(dim=1)).long()
        chosen = ((own.cumsum(dim=1) > place[:, None]) & own).long().argmax(dim=1)
        found = self.rows[chosen]
        found[~own.any(dim=1)] = 0
        return found


class Translator(Translates, HasCritic):
    """It translates by the average of ``generator``, which learns against ``critic``; a sample is a translated input.

    ``conditional``: whether the classes of the data enter. ``loss``: ``wasserstein`` or ``hinge``, on logits.
    ``adversarial_weight`` weighs the critic's part in the generator's loss. ``num_inputs`` training images are kept in
    checkpoints for samples. ``needs``: what batches must hold beside images.
    """

    needs: ClassVar[tuple[str, ...]] = ("template",)
    given = "faultless"

    def __init__(
        self,
        *,
        num_classes: int,
        generator: Callable[..., nn.Module],
        critic: Callable[..., nn.Module],
        generator_optimizer: Callable[..., Optimizer],
        critic_optimizer: Callable[..., Optimizer],
        conditional: bool = True,
        loss: str = "wasserstein",
        adversarial_weight: float = 1.0,
        num_inputs: int = 64,
        **given: Any,
    ) -> None:
        super().__init__(num_classes=num_classes if conditional else 0, **given)
        check_choice("loss", loss, LOSSES)
        check_at_least(0, adversarial_weight=adversarial_weight)
        check_at_least(1, num_inputs=num_inputs)
        facts: dict[str, Any] = {"image_shape": self.image_shape, "num_classes": self.num_classes}
        self.generator = generator(**facts)
        self.averaged_generator = averaged_copy(self.generator)
        self.critic = critic(**facts)
        self.inputs = Bank(num_inputs, self.image_shape)
        self.make_generator_optimizer, self.make_critic_optimizer = generator_optimizer, critic_optimizer
        self.critic_loss, self.generator_loss = loss_pair(loss)
        self.adversarial_weight = adversarial_weight

    def configure_optimizers(self) -> list[Optimizer]:
        return [
            self.make_generator_optimizer(self.generator.parameters()),
            self.make_critic_optimizer(self.critic.parameters()),
        ]

    def on_fit_start(self) -> None:
        """ValueError where the data lack what it learns from."""
        super().on_fit_start()
        datamodule: ImageData = self.trainer.datamodule  # type: ignore[attr-defined]
        lacking = [name for name in self.needs if name not in datamodule.targets("train")]
        if lacking:
            raise ValueError(
                f"{type(self).__name__} learns from images with a {lacking[0]!r}, and {datamodule.name} has none: choose data "
                "such as datamodule=defect_patches of a set with twins, with datamodule.masks=changed where it has no masks"
            )
        self.have_inputs()

    def have_inputs(self) -> None:
        """Keep inputs of samples, unless there are some from a checkpoint."""
        if not self.inputs.is_filled:
            self.keep_inputs(self.trainer.datamodule)  # type: ignore[attr-defined]

    def keep_inputs(self, datamodule: ImageData) -> None:
        """Keep training images that samples are translations of: faultless twins, or images of the last class without any.

        A twin has the class of its image: it shows where such a defect can be.
        """
        images, labels = datamodule.split("train")
        targets = datamodule.targets("train")
        if "template" in targets:
            self.inputs.fill(self.middles(targets["template"][:]), labels)
        else:
            sound = (labels == labels.max()).nonzero()[:, 0]
            self.inputs.fill(self.middles(images[sound]), labels[sound])

    def middles(self, rows: Tensor) -> Tensor:
        """The middle of each of [N, C, H, W] or [N, H, W], of the size of this model's images, as bytes."""
        first = [(side - own) // 2 for side, own in zip(rows.shape[-2:], self.image_shape[1:], strict=True)]
        cut = rows[..., first[0] :, first[1] :][..., : self.image_shape[1], : self.image_shape[2]]
        return to_uint8(cut) if cut.is_floating_point() else cut

    def classes(self, labels: Tensor) -> Tensor | None:
        """``labels`` where classes enter."""
        return labels if self.num_classes > 0 else None

    def noise(self, first: int, like: Tensor, *, seed: int, name: str = "noise of translations") -> Tensor:
        """A channel of normal noise for each of the images ``like`` [B, C, H, W], which have the numbers from ``first`` on."""
        return Stream(seed, name).normal(first, len(like), 1, *like.shape[2:]).to(like)

    def tell_apart(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """The critic's loss of images and fakes [B, C, H, W] of the same classes."""
        real_logits, fake_logits = (at_least_float32(self.critic(images, labels)) for images in (real, fake))
        loss = self.critic_loss(real_logits, fake_logits)
        self.record({"loss/critic": loss, "score/real": real_logits.mean(), "score/fake": fake_logits.mean()})
        return loss

    def weigh(self, reconstruction: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """The generator's loss: its ``reconstruction`` and, weighed, what the critic says of its fakes [B, C, H, W]."""
        adversarial = self.generator_loss(at_least_float32(self.critic(fake, labels)))
        loss = reconstruction + self.adversarial_weight * adversarial
        self.record({"loss/generator": loss, "score/reconstruction": reconstruction})
        return loss

    def inputs_of(self, first: int, count: int, *, seed: int, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        self.have_inputs()
        own = labels if self.inputs.has_classes else None
        return self.inputs.drawn(first, count, seed=seed, name="inputs of samples", labels=own), None

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
        if image_size not in (None, self.image_shape[1]):
            raise ValueError(
                f"{type(self).__name__} draws images of {self.image_shape[1]} pixels only, got {image_size}"
            )
        asked = self.balanced_labels(first, count) if labels is None else self.check_labels(labels, count=count)
        images, masks = self.inputs_of(first, count, seed=seed, labels=asked)
        return self.translate(from_uint8(images), masks=masks, labels=asked, first=first, seed=seed)

    def as_averaged(self, images: Tensor) -> Tensor:
        """``images`` on the device of the averaged weights, in their type."""
        return images.to(next(self.averaged_generator.parameters()))
