"""CelebA: faces of celebrities."""

from __future__ import annotations

from datamodules.stored_images import StoredImages


class CelebA(StoredImages):
    """202,599 faces, no labels used. The chapters' crops: presets celeba_140 (to 64), celeba_aligned (to 128), celeba_108."""

    title = "CelebA"
    num_classes = 0
    counts = {"train": 182_340, "test": 20_259}  # noqa: RUF012
    source = "fetch img_align_celeba.zip (CelebA's page, by hand: its drive refuses programs) as SOURCE"
    preparation = "python -m datamodules.prepare SOURCE {data_dir} --resolution {resolution} --preset celeba_140"
