"""Images of one's own, prepared."""

from __future__ import annotations

import sys
from typing import Any

from datamodules.prepared_set import read_description
from datamodules.stored_images import StoredImages


class OwnImages(StoredImages):
    """A set of one's own: any folder, zip, tar archive or LMDB, prepared.

    ``num_classes`` and ``channels`` None: those of the prepared set, read where they are asked for. ``num_classes`` 0:
    trained without labels, which is said where there are some; any other number must be that of the set.
    """

    title = "the set"
    counts = {}  # noqa: RUF012
    source = "take your folder, zip, tar archive or LMDB of images as SOURCE"
    stated_arguments = ("download",)  # of the constructor of the base: one's own images come from nowhere

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        channels: int | None = None,
        **given: Any,
    ) -> None:
        if channels not in (1, 3, None):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
        self.given_classes, self.given_channels = num_classes, channels
        super().__init__(download=False, **given)

    @property
    def num_classes(self) -> int:  # type: ignore[override] # of the other sets a constant
        """ValueError where it is left to a prepared set that is not there."""
        return len(self.facts()["classes"]) if self.given_classes is None else self.given_classes

    @property
    def channels(self) -> int:  # type: ignore[override] # of the other sets a constant
        """ValueError where it is left to a prepared set that is not there."""
        return int(self.facts()["channels"]) if self.given_channels is None else self.given_channels

    def facts(self) -> dict[str, Any]:
        facts = read_description(self.data_dir)
        if facts is None:
            raise ValueError(self.explain())
        return facts

    def check_classes(self, facts: dict[str, Any], split: str) -> None:
        if self.given_classes == 0 and facts["classes"]:
            if split == "train":
                print(
                    f"note: {self.data_dir} has {len(facts['classes'])} classes, and this run does without them: "
                    "datamodule.num_classes=0",
                    file=sys.stderr,
                )
        elif len(facts["classes"]) != self.num_classes:
            raise ValueError(
                f"{self.data_dir} was prepared with {len(facts['classes']) or 'no'} classes, and datamodule.num_classes is "
                f"{self.given_classes}: leave it out, and it is that of the set, or give 0 to do without classes"
            )
