"""FFHQ: faces in high quality."""

from __future__ import annotations

from datamodules.stored_images import StoredImages


class FFHQ(StoredImages):
    """70,000 faces, no labels."""

    title = "FFHQ"
    num_classes = 0
    counts = {"train": 63_000, "test": 7_000}  # noqa: RUF012 - of 70,000 the last tenth is held out
    source = "fetch images1024x1024 or thumbnails128x128 (NVlabs/ffhq-dataset) as SOURCE"
