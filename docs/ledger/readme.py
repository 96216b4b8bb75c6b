"""The README's table of results, and what its numbers are of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from docs.ledger.pages import Page, Shown
from docs.ledger.results import DOCS, Line, facts, interval, read_results, stated, value

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


def floor_words(experiment: str, measured: str) -> str:
    """What the table's numbers are of, and what real images score: read from what `python -m docs.ledger.floor` wrote."""
    halves, *smaller = read_results(measured)
    ours, _ = interval([value(result, "fd") for result in read_results(experiment)])
    floor, count = halves["fd_at"], f"{halves['at']:,}"
    alike = " and ".join(f"{line['fd_at']:.3f}" for line in smaller)
    data = halves["data"].partition(":")[0]
    words = (
        f"FD, precision and recall are those of {count} samples, every class as often (`labels=balanced`), against the {count} "
        f"{data} as raw pixels (`fd_pixels_{halves['at']}`). A perfect generator would have an FD of {floor:.2f} here. That "
        f"of `{experiment}` is {ours / floor:.1f} times as large. `python -m docs.ledger.floor` measures the {floor:.2f}. No "
        f"two parts of the set have {count} {data} each. But the FD of two sets of n images from one source is bias alone "
        f"and falls as 1 / n. Random halves of {halves['num_images']} {data} have an FD of {halves['fd']:.3f} (mean of "
        f"{halves['splits']} splits, standard deviation {halves['fd_spread']:.3f}). That makes {floor:.3f} at {count}. Thirds "
        f"and quarters make {alike}. Halves have a precision of {halves['precision']:.2f} and a recall of "
        f"{halves['recall']:.2f}."
    )
    return textwrap.fill(words, 120, break_on_hyphens=False)


def with_table(readme: str, pages: Sequence[Page]) -> str:
    """The README with the rows that ``pages`` have for it between its marks."""
    before, _, rest = readme.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    shown = [row for page in pages for row in page.head.readme]
    floors = [floor_words(row.experiment, row.floor) for row in shown if row.floor and read_results(row.experiment)]
    return f"{before}{MARKS[0]}\n" + "\n\n".join([results_table(shown), *floors]) + f"\n{MARKS[1]}{after}"
