"""docs/results/augmentation.md: what images that ReGene makes teach a classifier, beside controls that need no generator.

python -m docs.ledger.augmentation [--measure RUN ...] [--share RUN ...] [--sources NAME ...] [--steps N] [--device DEVICE]

--measure takes runs of method=regene that were trained with one rare class, '+datamodule.rare={8: 30}', and teaches a student
by every arm. --share takes ordinary runs, and teaches students of mixes of original and made images (Figure 17 of the paper).
Lines of a run take the place of its earlier ones. The page is made of these lines; no number of it is typed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from docs.ledger.augmentation_arms import ARMS, rare_lines
from docs.ledger.augmentation_mixes import SOURCES, asked_mixes, share_lines
from docs.ledger.augmentation_page import FILE, PAGE, page
from docs.ledger.results import DOCS, Line, read_results, write_results
from docs.ledger.students import Lesson
from launch.errors import one_line_errors
from lightning_modules.tasks.samples import progress

KEYS = ("question", "experiment", "train_seed", "kept", "arm", "how", "share")  # tell a line from another


def collect(lines: Iterable[Line], *, total: int, what: str) -> None:
    """``lines`` into docs/results, in place of earlier ones of the same arm and run, once all ``total`` of them are there."""
    with progress(total, what) as bar:
        taken = []
        for line in lines:
            taken.append(line)
            bar.update()
    new = {key_of(line) for line in taken}
    kept = [line for line in read_results(FILE) if key_of(line) not in new]
    write_results(FILE, sorted([*kept, *taken], key=key_of))


def key_of(line: Line) -> tuple[str, ...]:
    return tuple(str(line.get(key)) for key in KEYS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--share", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--sources", nargs="+", choices=list(SOURCES), default=list(SOURCES), help="of --share")
    parser.add_argument("--steps", type=int, default=Lesson.steps, help="of every student")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    lesson, device = Lesson(steps=arguments.steps), arguments.device
    with one_line_errors():
        for run in arguments.measure:
            collect(rare_lines(run, lesson=lesson, device=device), total=len(ARMS), what=run.name)
        for run in arguments.share:
            mixes = 1 + sum(len([*asked_mixes(source)]) for source in arguments.sources)
            lines = share_lines(run, lesson=lesson, device=device, sources=arguments.sources)
            collect(lines, total=mixes, what=run.name)
        PAGE.write_text(page())
        print(PAGE.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
