"""LSUN: one category of scenes."""

from __future__ import annotations

from datamodules.stored_images import StoredImages


class LSUN(StoredImages):
    """One category, no labels; bedrooms by default."""

    title = "LSUN"
    num_classes = 0
    counts = {}  # noqa: RUF012 - differ by category
    source = "fetch and unpack <category>_train_lmdb.zip (fyu/lsun) and give that folder as SOURCE"
