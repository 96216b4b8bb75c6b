"""What the ledger says of norms is what is sampled."""

from __future__ import annotations

import pytest

from docs.ledger.norms import NORMS, overlaps
from docs.ledger.results import selected


def test_overlaps_on_file_are_those_of_fewer_samples_within_their_error() -> None:
    """Fewer samples can only look less alike: their histograms differ by chance, here by 0.04 at most."""
    found = list(overlaps(count=4_000))
    assert len(found) == 15
    for line in found:
        (kept,) = selected(NORMS, {key: line[key] for key in ("prior", "dim")})
        assert line["overlap"] == pytest.approx(kept["overlap"], abs=0.04), line
