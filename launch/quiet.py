"""Messages of the libraries that tell a user of polymorph nothing they could act on."""

from __future__ import annotations

import logging
import warnings

NOISE = (
    ".*LeafSpec.*is deprecated.*",  # of torch to lightning
    ".*module\\(s\\) in eval mode at the start of training.*",  # the averaged generator is, always
    ".*does not have many workers.*",  # the data are in memory
)


def quiet() -> None:
    """Leave out known noise; everything else is still shown."""
    for pattern in NOISE:
        warnings.filterwarnings("ignore", pattern)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.trainer.connectors").setLevel(logging.WARNING)
