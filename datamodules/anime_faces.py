"""Drawn faces."""

from __future__ import annotations

from datamodules.stored_images import StoredImages


class AnimeFaces(StoredImages):
    """63,632 drawn faces, no labels."""

    title = "Anime faces"
    num_classes = 0
    counts = {"train": 57_269, "test": 6_363}  # noqa: RUF012
    source = "fetch the anime-face-dataset (Kaggle: splcher/animefacedataset) as SOURCE"
    preparation = "python -m datamodules.prepare SOURCE {data_dir} --resolution {resolution} --preset crop_lanczos"
