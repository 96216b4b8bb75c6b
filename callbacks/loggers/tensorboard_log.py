"""TensorBoard as a view of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only


class TensorBoardLog(TensorBoardLogger):
    """Lightning's logger with its files in ``run_dir/tensorboard``; a step is an image seen, pictures are shown."""

    def __init__(self, *, run_dir: str) -> None:
        # No `hp_metric`: the names are those of the other loggers.
        super().__init__(save_dir=run_dir, name="", version="tensorboard", default_hp_metric=False)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        """Pictures of PIL; TensorBoard shows no captions, its slider is the clock."""
        pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
        self.experiment.add_images(key, pixels, step, dataformats="NHWC")
