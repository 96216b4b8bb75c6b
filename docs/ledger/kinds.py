"""The kinds of claims that a page may have; the keys of each are the fields of its class.

| kind | what it says | its verdict |
|---|---|---|
| value | measures of an experiment, over its seeds | stated with it |
| gate | the same, and bounds that every seed must keep to | whether they do |
| order | an arm is better than another by a measure | by Welch's t, Holm over all pages: reproduced, reversed, undecided |
| paired | the same, image by image | by Student's t over generators and images, with the orders of all pages |
| ranking | rows of a task's results by a measure | which is best |
| count | a network's parameters, counted without memory for them | whether it is the printed figure |
| counts | the same of all rows of a table | how many are |
| computed | rows that a command computed, without training | whether they are as printed and keep to their bounds |
| untested | nothing was measured | what it would need |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docs.ledger.arms import Gated, Ordered, Stated
from docs.ledger.checked import built
from docs.ledger.claim import Claim, Untested
from docs.ledger.computed import Computed
from docs.ledger.counts import Count, Counts
from docs.ledger.paired import Paired
from docs.ledger.rankings import Ranked
from launch.errors import did_you_mean

KINDS: dict[str, type[Claim]] = {
    "value": Stated,
    "gate": Gated,
    "order": Ordered,
    "paired": Paired,
    "ranking": Ranked,
    "count": Count,
    "counts": Counts,
    "computed": Computed,
    "untested": Untested,
}


def read_claim(entry: Any, *, place: str) -> Claim:
    """The claim that a page's ``entry`` states by its ``kind`` and the keys of that."""
    if not isinstance(entry, Mapping) or "kind" not in entry:
        raise ValueError(f"{place} needs a kind: one of {', '.join(KINDS)}")
    kind, rest = entry["kind"], {key: item for key, item in entry.items() if key != "kind"}
    if kind not in KINDS:
        raise ValueError(f"{place}: there is no kind {kind!r}{did_you_mean(str(kind), KINDS)}")
    return built(KINDS[kind], rest, place=place)
