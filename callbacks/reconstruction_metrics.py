"""How near reconstructions are to their originals, while training and at the end."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from lightning.pytorch import Trainer

from callbacks.loggers.entries import log_values
from callbacks.measured import MeasuringInTraining
from datamodules.base import ImageDataModule
from lightning_modules.base import Method, Reconstructs
from metrics.evaluation import Instruments, Work, evaluate
from metrics.features import Pixels
from metrics.image_sets import KeptImageSet, random_part
from metrics.protocols import PAIRED, whole_names
from metrics.quality import SSIM_WINDOW
from metrics.samples import Reconstructions
from metrics.splits import real_images
from records.results import TEST_STAGE, Origin, reconstruction_result
from records.run_files import append_line

USUAL = 2000  # images that are made again: of all the 60,000 of a large set, measuring would take longer than training


class ReconstructionMetrics(MeasuringInTraining):
    """Logs ``metric/<name>`` and ``best/<name>`` of images that a method makes again, every ``every_kimg`` and at the end.

    ``metrics`` are some of psnr, ssim and mae; ssim is left out where images are smaller than its window. During training
    the originals are ``num_images`` images of the training split, chosen by a fixed seed, None: :data:`USUAL` or all of
    fewer. The test stage measures on every image of the test split and appends the result to ``run_dir/results.jsonl``. Ranks
    share the images, in batches of ``batch_size``. Methods that do not reconstruct are left alone.
    """

    def __init__(
        self,
        *,
        run_dir: str,
        every_kimg: float,
        metrics: list[str],
        num_images: int | None = None,
        batch_size: int = 64,
    ) -> None:
        super().__init__(every_kimg=every_kimg)
        unknown = [name for name in metrics if name not in PAIRED]
        if unknown:
            raise ValueError(
                f"callbacks.reconstructions.metrics has {unknown[0]!r}, which is not measured of reconstructions while "
                f"training: choose from {', '.join(PAIRED)}"
            )
        for name, value, least in (("num_images", num_images, 2), ("batch_size", batch_size, 1)):
            if value is not None and value < least:
                raise ValueError(f"callbacks.reconstructions.{name} must be at least {least}, got {value}")
        self.results = Path(run_dir) / "results.jsonl"
        self.metrics = metrics
        self.num_images = num_images
        self.batch_size = batch_size

    def setup(self, trainer: Trainer, method: Method, stage: str) -> None:  # type: ignore[override]
        if self.measures(method):
            self.originals(trainer)  # a number that the data do not have is told before the training

    def measures(self, method: Method) -> list[str]:
        """Those of ``metrics`` that images of this size have; none of a method that does not reconstruct."""
        if not isinstance(method, Reconstructs):
            return []
        too_small = min(method.image_shape[1:]) < SSIM_WINDOW
        return [name for name in self.metrics if not (name == "ssim" and too_small)]

    def originals(self, trainer: Trainer) -> KeptImageSet:
        """The training images that are made again, the same ones each time."""
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        images = real_images(datamodule, "train")
        return random_part(images, min(USUAL, len(images)) if self.num_images is None else self.num_images)

    def names(self, method: Method, *, num_images: int) -> dict[str, str]:
        """Metric -> its whole name, such as ``psnr_64px_1k``."""
        size = method.image_shape[1]
        return whole_names(self.measures(method), extractor="none", judge=None, image_size=size, num_images=num_images)

    def whole_names(self, trainer: Trainer, method: Method) -> dict[str, str]:
        if not self.measures(method):
            return {}
        return self.names(method, num_images=len(self.originals(trainer)))

    def instruments(self, method: Method) -> Instruments:
        """By what it is measured: pairs of images need no network."""
        return Instruments(
            extractor=Pixels(method.image_shape),
            metrics=self.measures(method),
            work=Work(device=torch.device(method.device), batch_size=self.batch_size, show_progress=True),
        )

    def measure(self, trainer: Trainer, method: Method) -> None:
        if not self.measures(method):
            return
        assert isinstance(method, Reconstructs)
        originals = self.originals(trainer)
        started = time.perf_counter()
        values = evaluate(Reconstructions(method, originals), originals, self.instruments(method))
        log_values(trainer, method, {"throughput/reconstruction_seconds": time.perf_counter() - started})
        self.log_measures(trainer, method, values, names=self.names(method, num_images=len(originals)))

    def on_test_epoch_end(self, trainer: Trainer, method: Method) -> None:  # type: ignore[override]
        if not self.measures(method):
            return
        assert isinstance(method, Reconstructs)
        datamodule: ImageDataModule = trainer.datamodule  # type: ignore[attr-defined]
        origin = Origin(stage=TEST_STAGE, checkpoint="last.ckpt")
        record = reconstruction_result(method, datamodule, self.instruments(method), origin)
        names = self.names(method, num_images=record["num_images"])
        self.measured |= {names[metric]: value for metric, value in record["metrics"].items()}
        if trainer.is_global_zero:
            append_line(self.results, record)
        trainer.strategy.barrier("reconstruction results")
