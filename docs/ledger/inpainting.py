"""docs/results/inpainting.md: how well holes are filled, by arm, of several generators and the same images.

python -m docs.ledger.inpainting [--measure RUN ... --encoders RUN ... --judge CHECKPOINT] [--collect FOLDER ...]

--measure runs `task=inpaint` for everything that the page asks of runs of pggan/fashion_mnist, into their folders `inpainting`,
and goes on where it was broken off. --collect takes in what the task wrote into folders: a line an arm, with the PSNR of the
hole of each image. The page is made of these lines; no number of it is typed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from docs.ledger.inpainting_lines import collect_inpainting
from docs.ledger.inpainting_page import CHART, PAGE, chart, page
from docs.ledger.inpainting_plan import ONCE, PLAN, measure
from docs.ledger.results import DOCS, INPAINTING, read_results
from launch.errors import one_line_errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--measure", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--encoders", nargs="+", type=Path, default=[], metavar="RUN", help="one for each of --measure")
    parser.add_argument("--judge", type=Path, metavar="CHECKPOINT", help="of classifier/fashion_mnist")
    arguments = parser.parse_args()
    if arguments.measure and (arguments.judge is None or len(arguments.encoders) != len(arguments.measure)):
        parser.error("--measure needs --judge, and --encoders with a run for each of its own")
    with one_line_errors():
        for number, (run, encoder) in enumerate(zip(arguments.measure, arguments.encoders, strict=True)):
            plan = PLAN + (ONCE if number == 0 else ())
            for folder in measure(run, encoder=encoder, judge=arguments.judge, plan=plan):
                collect_inpainting(folder)
        for folder in arguments.collect:
            collect_inpainting(folder)
        if lines := read_results(INPAINTING):
            chart(lines).savefig(CHART, dpi=80)
        PAGE.write_text(page())
        print(PAGE.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
