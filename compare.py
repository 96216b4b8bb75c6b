"""One page about many runs, from the files in their folders: curves, settings, samples, results.

python compare.py runs/a runs/b -o page.html             two runs
python compare.py runs/sweeps/poly_inr/rates/trials      a folder that is no run stands for the runs inside it
python compare.py runs/sweeps/poly_inr/rates/trials/*    files among them, such as the trials' logs, are passed over
"""

from __future__ import annotations

from launch.start import announce

if __name__ == "__main__":
    announce("compare.py")  # before the imports, which take seconds

import argparse
from pathlib import Path

from launch.errors import one_line_errors
from records.comparison import find_runs, write_comparison


def main() -> None:
    announce("compare.py")  # also where an installed command imports this file
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="run_dir")
    parser.add_argument("-o", "--output", type=Path, default=Path("comparison.html"), help="default: %(default)s")
    given = parser.parse_args()
    with one_line_errors():
        files = [path for path in given.folders if path.is_file()]
        runs = find_runs([path for path in given.folders if path not in files])
        if files:
            named = f"{files[0]}{' and others' if len(files) > 1 else ''}"
            print(f"passed over {len(files)} of {len(given.folders)}, which are files and no run folders: {named}")
        write_comparison(runs, given.output)
        print(f"{given.output}: {len(runs)} runs")


if __name__ == "__main__":
    main()
