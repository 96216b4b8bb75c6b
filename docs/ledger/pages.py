"""docs/claims/<method>.yaml, read; and docs/claims.md, made of them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from docs.ledger.arms import Gate
from docs.ledger.checked import built, read_yaml
from docs.ledger.claim import Claim
from docs.ledger.kinds import read_claim
from docs.ledger.orders import Row, decided
from docs.ledger.results import DOCS, Experiment, WrittenFile

CLAIMS = DOCS / "claims"
COLUMNS = {
    "where": "where",
    "says": "what it says",
    "ours": "ours, at our scale (mean ± 95 %)",
    "seeds": "seeds",
    "hardware": "hardware",
    "kimg": "kimg",
    "command": "command",
    "verdict": "verdict",
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A row of the README's table: an experiment, the source's figure for it, and the file of what real images score.

    ``note``: what is to be said of it below the table, once it has results.
    """

    experiment: Experiment
    printed: str
    floor: WrittenFile | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PageHead:
    """What a page says of itself: the source, its ``place`` among the pages, gates that are explained, README rows."""

    title: str
    place: int
    gates: dict[str, Gate] = field(default_factory=dict)
    readme: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Page:
    name: str
    head: PageHead
    claims: list[Claim]

    def rows(self) -> list[Row]:
        rows = []
        for claim in self.claims:
            try:
                rows.append(claim.row())
            except ValueError as error:
                raise ValueError(f"{self.name}.yaml, {claim.where}, {claim.says!r}: {error}") from error
        return rows


def read_page(path: Path) -> Page:
    """A file of claims; ValueError where a key, a kind or a name in it is unknown."""
    data = read_yaml(path)
    if not isinstance(data, dict) or not isinstance(data.get("claims"), list):
        raise ValueError(f"{path.name} must have a list 'claims'")
    head = built(PageHead, {key: item for key, item in data.items() if key != "claims"}, place=path.name)
    claims = [read_claim(entry, place=f"{path.name}, claim {k}") for k, entry in enumerate(data["claims"], start=1)]
    return Page(path.stem, head, claims)


def read_pages() -> list[Page]:
    """All pages by their places, those of one place by their names."""
    pages = [read_page(path) for path in sorted(CLAIMS.glob("*.yaml"))]
    return sorted(pages, key=lambda page: page.head.place)


PARAGRAPHS = (
    "Every table and every main claim of the sources whose method has landed, with what we measured. `make claims` makes "
    "this page from `docs/claims` and `docs/results`. Intervals are Student's t over training seeds; for three seeds that "
    "is 2.5 standard deviations. TSTR is the accuracy on real test images of a classifier that was trained on samples.",
    "An order of two arms is *undecided* where its p (Welch's t, two-sided) is 5 % or more after Holm's correction over "
    "all orders of this page. Its 95 % interval is that of itself alone. Distances spread by factors. So they are compared "
    "on logarithms, as the ratio of geometric means. *Values do not overlap* says that all of one arm lie on one side of "
    "all of the other; three seeds against three do so one time in ten by chance.",
)


def introduction(pages: list[Page]) -> str:
    gates = [
        f"The gate of the {gate.of} asks of every seed: {gate}. {gate.measured}"
        for page in pages
        for gate in page.head.gates.values()
    ]
    filled = [textwrap.fill(words, 120, break_on_hyphens=False) for words in (*PARAGRAPHS, *gates)]
    return "\n\n".join(filled)


def ledger(pages: list[Page]) -> str:
    """The text of docs/claims.md."""
    lines = ["# Claims", "", introduction(pages)]
    chapters = [page.rows() for page in pages]
    rows = iter(decided([row for chapter in chapters for row in chapter]))
    for page, chapter in zip(pages, chapters, strict=True):
        lines += ["", f"## {page.head.title}", ""]
        lines += ["| " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * len(COLUMNS)]
        for row in islice(rows, len(chapter)):
            lines.append("| " + " | ".join(getattr(row, column) for column in COLUMNS) + " |")
    return "\n".join(lines) + "\n"
