"""The README's table of results, and what its numbers are of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from docs.ledger.pages import Page, Shown
from docs.ledger.results import DOCS, Line, facts, read_results, stated

README = DOCS.parent / "README.md"
MARKS = ("<!-- results: made by `make claims` -->", "<!-- end of results -->")
COLUMNS = {"fd": "FD ↓", "precision": "precision ↑", "recall": "recall ↑", "accuracy": "asked class ↑"}


def has(results: Sequence[Line], measure: str) -> bool:
    """Whether results have a measure: a generator without classes draws none that was asked for."""
    return all(measure in result["metrics"] for result in results)


def results_table(shown: Sequence[Shown]) -> str:
    header = ["experiment", *COLUMNS.values(), "seeds", "kimg", "training", "hardware", "the paper's figure"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in shown:
        results = read_results(row.experiment)
        if results:
            runs = facts(results, "")
            values = [stated(results, measure) if has(results, measure) else "-" for measure in COLUMNS]
            seconds = sorted(result["train_seconds"] for result in results)
            time = f"{seconds[len(seconds) // 2]:.0f} s (median, busy machine)"
            cells = [f"`{row.experiment}`", *values, runs["seeds"], runs["kimg"], time, runs["hardware"], row.printed]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def floor_words(measured: str) -> str:
    """What the table's numbers are of, and what real images score: read from what `python -m docs.ledger.floor` wrote."""
    halves = read_results(measured)[0]
    floor, count = halves["fd_at"], f"{halves['at']:,}"
    data = halves["data"].partition(":")[0]
    return (
        f"FD, precision and recall of {data} are those of {count} samples, every class as often (`labels=balanced`), against the "
        f"{count} {data} as raw pixels (`fd_pixels_{halves['at']}`). A perfect generator would have an FD of {floor:.2f} here, by "
        f"`python -m docs.ledger.floor`: random halves of {halves['num_images']} {data} have an FD of {halves['fd']:.3f}, and "
        "between two sets of n images from one source it is bias alone and falls as 1 / n."
    )


def with_table(readme: str, pages: Sequence[Page]) -> str:
    """The README with the rows that ``pages`` have for it between its marks."""
    before, _, rest = readme.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    shown = [row for page in pages for row in page.head.readme]
    measured = [row for row in shown if read_results(row.experiment)]
    words = [floor_words(row.floor) for row in measured if row.floor]
    words += [row.note for row in measured if row.note]
    parts = [results_table(shown), textwrap.fill(" ".join(words), 120, break_on_hyphens=False)]
    return f"{before}{MARKS[0]}\n" + "\n\n".join(filter(None, parts)) + f"\n{MARKS[1]}{after}"
