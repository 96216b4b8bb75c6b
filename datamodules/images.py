"""Images of one's own, prepared."""

from __future__ import annotations

from datamodules.stored import StoredImages


class OwnImages(StoredImages):
    """A set of one's own: any folder, zip, tar archive or LMDB, prepared. ``num_classes`` 0: no labels."""

    title = "the set"
    counts = {}  # noqa: RUF012
    source = "take your folder, zip, tar archive or LMDB of images as SOURCE"

    def __init__(
        self,
        *,
        data_dir: str,
        resolution: int,
        num_classes: int,
        channels: int = 3,
        batch_size: int,
        seed: int,
        flip: bool = False,
        crop_padding: int = 0,
        num_workers: int = 0,
    ) -> None:
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
        self.num_classes, self.channels = num_classes, channels
        super().__init__(
            data_dir=data_dir,
            resolution=resolution,
            batch_size=batch_size,
            seed=seed,
            flip=flip,
            crop_padding=crop_padding,
            num_workers=num_workers,
        )
