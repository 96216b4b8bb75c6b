"""What is handed to every logger of a run at its clock: values and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Trainer
from PIL import Image

from lightning_modules.base import Method
from records.run_files import CLOCK


def log_values(trainer: Trainer, method: Method, values: Mapping[str, float]) -> None:
    """Hand ``values`` to every logger at the run's clock."""
    row = {CLOCK: method.images_seen / 1000} | dict(values)
    for logger in trainer.loggers:
        logger.log_metrics(row, step=method.images_seen)


@runtime_checkable
class TakesPictures(Protocol):
    """A logger that shows pictures, by the convention of Lightning's own."""

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None: ...


def log_picture(trainer: Trainer, method: Method, name: str, picture: Image.Image) -> None:
    """Hand a picture to every logger that takes any, with the run's clock in its caption."""
    kimg = method.images_seen / 1000
    for logger in trainer.loggers:
        if isinstance(logger, TakesPictures):
            logger.log_image(name, [picture], step=method.images_seen, caption=[f"{kimg:g} kimg"])
