"""docs/results/detection.md: what drawn and translated defects are worth to a detector: Tables 3.3 and 3.4 of chapter 3.

python -m docs.ledger.detection_arms --data data/deeppcb --num-real 5 20 --seeds 0 1 2 [--arms real rendered ...] [--jobs 2]

A cell is an arm at one number of real defects a class and one seed, which says which defects are known, where weights start and
which crops come: a Faster R-CNN by `experiment=detector/deeppcb` on DATA, DeepPCB's folder or one with boxes in COCO's format.
Half of the crops are of the arm's own pictures. All arms but `real` have the same boards, places and classes: those of the drawn
set, of which networks make theirs (docs/ledger/learned_sets.py). A cell takes some minutes of a core. What was measured before is
left as it is. Lines go to docs/results/detection/<set>.jsonl; the page is made of them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Lock

import torch
from tqdm import tqdm

from docs.ledger.detection_page import ARMS, DIFFERENCES_OF, FOLDER, PAGE, difference_lines, page
from docs.ledger.detection_pictures import show
from docs.ledger.gain_answers import read_lines
from docs.ledger.gain_arms import Bench
from docs.ledger.learned_sets import METHODS, counts_of, folder_of, run_program, same_pictures, source_settings
from docs.ledger.results import Line, write_results
from docs.ledger.set_options import add_cells, add_set, append, bench_of, name_of
from launch.errors import one_line_errors
from records.environment import environment
from records.run_files import read_metrics

KIMG = 2.0  # of every detector: 250 steps of 8
VALIDATED, NUM_VALIDATION = 0.2, 120  # kimg between looks at so many crops that are not trained on
VALIDATION = "metric/validation_map"

DRAWN = "rendered"
Cell = tuple[str, int, int]


def cells_of(given: argparse.Namespace) -> list[Cell]:
    """(arm, number of real defects, seed), all arms of a number and a seed one after the other."""
    return [(arm, number, seed) for seed in given.seeds for number in given.num_real for arm in given.arms]


def detected(bench: Bench, given: argparse.Namespace, cell: Cell) -> Line:
    """The line of a cell."""
    arm, num_real, seed = cell
    start = time.perf_counter()
    folder = folder_of(bench, arm, num_real, seed)
    made = {} if folder is None else counts_of(folder)
    line: Line = {"arm": arm, "num_real": num_real, "seed": seed, "made": made}
    if arm in METHODS:
        line["precision"] = given.precision
    if made and not any(made.values()):
        return line | {"failed": "no defect was drawn that shows"}
    drawn = folder_of(bench, DRAWN, num_real, seed)
    if folder is not None and drawn is not None and same_pictures(folder, drawn):
        # The same pictures teach the same, to the bit: one detector does for both.
        line |= {} if folder == drawn else {"same_pictures_as": DRAWN}
        arm, folder = DRAWN, drawn
    run = bench.cache / f"{num_real}_{seed}_{arm}_detector"
    words = [
        "experiment=detector/deeppcb", f"run_dir={run.resolve()}", "resume=auto", f"max_kimg={given.kimg}", f"seed={seed}",
        f"num_threads={given.threads}", f"datamodule.num_real={num_real}", f"datamodule.subset_seed={seed}",
        f"+datamodule.num_validation={NUM_VALIDATION}", f"callbacks.validation.every_kimg={VALIDATED}",
        *source_settings(bench),
    ]  # fmt: skip
    run_program("train.py", [*words, *([] if folder is None else [f"datamodule.synthetic='{folder.resolve()}'"])])
    results = json.loads((run / "results.jsonl").read_text().splitlines()[-1])
    curve = [
        [round(row["progress/kimg"], 3), round(row[VALIDATION], 4)]
        for row in read_metrics(run / "metrics.csv")
        if VALIDATION in row
    ]
    scores = {name: round(value, 4) for name, value in results["metrics"].items()}
    return line | {"scores": scores, "validation": curve, "seconds": round(time.perf_counter() - start, 1)}


def measure(given: argparse.Namespace, path: Path) -> None:
    """Every cell that ``path`` lacks, each appended as soon as it is known; ``--jobs`` (number, seed) at a time."""
    told = {"set": name_of(given), "kimg": given.kimg}
    done = read_lines(path)
    if done and {name: done[0][name] for name in told} != told:
        raise ValueError(f"{path} holds cells of another set or budget: give another --lines, or remove the file")
    have = {(line["arm"], line["num_real"], line["seed"]) for line in done}
    groups: dict[tuple[int, int], list[Cell]] = {}
    for cell in cells_of(given):
        if cell not in have:
            groups.setdefault(cell[1:], []).append(cell)
    machine = {"processor": environment("cpu")["processor"], "threads": given.threads}
    writing = Lock()
    total = sum(map(len, groups.values()))
    with tqdm(total=total, desc="cells", disable=not total) as bar, ThreadPoolExecutor(given.jobs) as pool:

        def take(group: Sequence[Cell]) -> None:
            bench = bench_of(given)
            for cell in group:
                found = detected(bench, given, cell)
                with writing:
                    append(path, told | found | {"environment": machine})
                    bar.update()
                    shown = found.get("scores", {}).get("map", found.get("failed"))
                    bar.set_postfix_str("{arm}, {num_real} real, seed {seed}: ".format(**found) + str(shown))

        # Threads do: a cell is a process of its own, and what is drawn here is little.
        for future in as_completed([pool.submit(take, group) for group in groups.values()]):
            future.result()


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_set(parser, page_without=True)
    add_cells(parser, numbers=(5, 20), seeds=range(3))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--kimg", type=float, default=KIMG, help="crops of every detector, in thousands")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    parser.add_argument("--threads", type=int, default=1, help="of the processor, for each")
    parser.add_argument(
        "--lines", type=Path, help="instead of docs/results/detection/<set>.jsonl; leaves the page as it is"
    )
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    torch.set_num_threads(given.threads)
    with one_line_errors():
        if given.jobs < 1:
            raise ValueError(f"--jobs must be at least 1, got {given.jobs}")
        if given.data is not None:
            path = given.lines or FOLDER / f"{name_of(given)}.jsonl"
            measure(given, path)
            differences = difference_lines(read_lines(path))
            if given.lines is None and differences:
                write_results(f"detection/{path.stem}{DIFFERENCES_OF}", differences)
            show(bench_of(given), max(given.num_real), given.seeds[0], path.with_suffix(".png"))
            if given.lines is not None:
                print(path)
                return
        PAGE.write_text(page())
        print(PAGE)


if __name__ == "__main__":
    main()
