"""Makes docs/claims.md, docs/results/priors.md and the README's results table from docs/claims and docs/results.

Values are computed or read.

python -m docs.ledger [--collect RUN ...] [--check]

--collect takes the published result of each run folder into docs/results/<experiment>.jsonl, one line a training seed;
it must be that of the unchanged experiment.
--check changes nothing and fails where a file is out of date.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from docs.ledger.collect import collect
from docs.ledger.pages import ledger, read_pages
from docs.ledger.priors import PAGE, page
from docs.ledger.readme import README, with_table
from docs.ledger.results import DOCS
from launch.errors import one_line_errors


def make(*, check: bool) -> None:
    """Write the files, or ValueError where ``check`` finds one of them out of date."""
    pages = read_pages()
    made = {DOCS / "claims.md": ledger(pages), PAGE: page(), README: with_table(README.read_text(), pages)}
    if check:
        stale = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
        if stale:
            raise ValueError(f"{', '.join(stale)} out of date: run make claims")
        return
    for path, text in made.items():
        path.write_text(text)
        print(path.relative_to(DOCS.parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with one_line_errors():
        for run in arguments.collect:
            print(collect(run))
        make(check=arguments.check)


if __name__ == "__main__":
    main()
