"""docs/results/defects.md: what drawn defects are worth to a classifier, beside what else can be done with a few real ones.

python -m docs.ledger.gain --data data/deeppcb --num-real 5 10 20 --seeds 0 1 2 3 4 [--arms real rendered ...]
python -m docs.ledger.gain --data FOLDER --num-real 10 20 --lines runs/gain.jsonl --page runs/gain.md      a set of one's own

DATA is DeepPCB's folder, or one with boxes in COCO's format. A cell is an arm at one number of real defects a class and one
seed, which says which defects are known and where the weights start: half a minute to a minute of a core; --jobs 2 measures
two at a time. What was measured before is left as it is, so a process that was killed goes on. Lines go to
docs/results/defects/<set>.jsonl, the page and its pictures are made of them, and <set>_differences.jsonl holds what claims
state. The first line of the page is the answer. Of a class that a network drew nothing of, real ones stand for made ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from tqdm import tqdm

from datamodules.synthesis.reading import Examples, read_examples
from docs.ledger.gain_answers import CONTROL, Cells, answer, difference_lines, read_lines
from docs.ledger.gain_arms import ARMS, ASKED, OF_PAIRS, PICTURES, SIZE, STEPS, Bench, Protocol
from docs.ledger.gain_page import FOLDER, PAGE, page, write_own_page
from docs.ledger.gain_pictures import show
from docs.ledger.learned_sets import METHODS
from docs.ledger.results import Line, write_results
from docs.ledger.set_options import add_cells, add_set, append, bench_of, name_of
from launch.errors import one_line_errors
from records.environment import environment

Cell = tuple[str, int, int]


def cells_of(given: argparse.Namespace) -> list[Cell]:
    """(arm, number of real defects, seed) in the order of the numbers given, then of the seeds, then of the arms."""
    return [(arm, number, seed) for number in given.num_real for seed in given.seeds for arm in given.arms]


def protocol_of(given: argparse.Namespace) -> Protocol:
    return Protocol(given.size, given.steps, given.pictures)


def measure(given: argparse.Namespace, path: Path) -> Bench:
    """Every cell that ``path`` lacks, each appended as soon as it is known."""
    bench = bench_of(given, protocol_of(given))
    check_numbers(read_examples(given.data), given.num_real)
    if not bench.has_twins:
        given.arms = [arm for arm in given.arms if arm not in OF_PAIRS]
    told = {"set": name_of(given), "size": given.size, "steps": given.steps}
    test = told | {"arm": "test", "classes": [*bench.names, "clean"]} | facts_of(bench)
    done = read_lines(path)
    if not done:
        append(path, test)
    elif done[0] != test:
        raise ValueError(
            f"{path} holds cells of another set, protocol or test split: give another --lines, or remove the file"
        )
    have = {(line["arm"], line["num_real"], line["seed"]) for line in done[1:]}
    machine = {"processor": environment("cpu")["processor"], "threads": torch.get_num_threads()}
    missing = [cell for cell in cells_of(given) if cell not in have]
    with tqdm(total=len(missing), desc="cells", disable=not missing) as bar:
        for found in lines_of(missing, given, bench):
            append(path, told | found | {"environment": machine})
            bar.update()
            bar.set_postfix_str("{arm}, {num_real} real, seed {seed}: {balanced_accuracy}".format(**found))
    return bench


def lines_of(cells: Sequence[Cell], given: argparse.Namespace, bench: Bench) -> Iterator[Line]:
    """The line of each cell, in the order in which they are known."""
    if given.jobs == 1 or len(cells) < 2:
        for cell in cells:
            yield line_of(bench, cell)
        return
    drawn = {cell[1:]: [other for other in cells if other[1:] == cell[1:]] for cell in cells}
    context = get_context("spawn")
    queue = context.Queue()
    with context.Pool(given.jobs, initializer=start_worker, initargs=(given, queue)) as pool:
        done = pool.map_async(measure_alike, list(drawn.values()), chunksize=1)
        for _ in cells:
            yield received(queue, done)


def received(queue: Any, done: Any) -> Line:
    """The next line of a worker; raises what ended one."""
    while True:
        with suppress(Empty):
            line: Line = queue.get(timeout=1)
            return line
        if done.ready():
            done.get()


def line_of(bench: Bench, cell: Cell) -> Line:
    arm, num_real, seed = cell
    trained = {"precision": bench.precision} if arm in METHODS else {}
    return {"arm": arm, "num_real": num_real, "seed": seed} | trained | bench.cell(arm, num_real, seed)


WORKER: dict[str, Any] = {}  # what a worker process reads once: its bench, and where its lines go


def start_worker(given: argparse.Namespace, queue: Any) -> None:
    torch.set_num_threads(given.threads)
    WORKER.update(bench=bench_of(given, protocol_of(given)), queue=queue)


def measure_alike(cells: Sequence[Cell]) -> None:
    """Cells that share their drawn pictures: no other worker draws these."""
    for cell in cells:
        WORKER["queue"].put(line_of(WORKER["bench"], cell))


def check_numbers(examples: Examples, numbers: Sequence[int]) -> None:
    """ValueError before anything is trained where a class has fewer defects than is asked for."""
    counts = {name: sum(one.name == name for one in examples.all) for name in examples.classes}
    least = min(counts, key=lambda name: counts[name])
    if max(numbers) > counts[least]:
        raise ValueError(
            f"--num-real {max(numbers)} is more than the {counts[least]} training defects of {least!r} in {examples.path}: give "
            f"--num-real {counts[least]} or fewer"
        )


def facts_of(bench: Bench) -> Line:
    """What the test patches are; ValueError where no defect is among them."""
    if not len(bench.test) or int(bench.test.labels.min()) == len(bench.names):
        raise ValueError(f"the test split of {bench.data} shows no defect: put some images with boxes there")
    unseen = None if bench.unseen is None else "".join(str(int(one)) for one in bench.unseen)
    return {"labels": bench.test.labels.tolist(), "origins": bench.test.origins.tolist(), "unseen": unseen}


def read_arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_set(parser, page_without=True)
    add_cells(parser, numbers=(5, 20, 10), seeds=range(5))
    drawn = [arm for arm in ARMS if arm not in METHODS]
    help_ = f"default: all but {', '.join(METHODS)}, which train a network for each number and seed"
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=drawn, help=help_)
    parser.add_argument("--size", type=int, default=SIZE, help="pixels of a patch")
    parser.add_argument("--steps", type=int, default=STEPS, help="of every arm")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="drawn by each recipe")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time, each in a process of its own")
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--lines", type=Path, help="instead of docs/results/defects/<set>.jsonl")
    parser.add_argument("--page", type=Path, help="instead of docs/results/defects.md")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    torch.set_num_threads(given.threads)
    with one_line_errors():
        if given.jobs < 1:
            raise ValueError(f"--jobs must be at least 1, got {given.jobs}")
        if (given.lines is None) != (given.page is None):
            raise ValueError("--lines and --page are for a set of one's own: give both or none")
        if given.data is None and given.lines is not None:
            raise ValueError("--lines and --page need --data, whose pictures they show")
        if given.page is not None and not {CONTROL, ASKED} <= set(given.arms):
            raise ValueError(f"the arms {CONTROL} and {ASKED} answer the question: take both among --arms")
        if given.data is not None:
            lines = given.lines or FOLDER / f"{name_of(given)}.jsonl"
            bench = measure(given, lines)
            cells = Cells.of(read_lines(lines))
            show(cells, bench, (given.page or lines).with_suffix(""))
            for number in cells.numbers:
                print(answer(cells, number))
        if given.page is not None:
            write_own_page(cells, given.page)
        else:
            if given.data is not None:
                write_results(f"defects/{lines.stem}_differences", difference_lines(cells, list(ARMS)))
            PAGE.write_text(page())
        print(given.page or PAGE)


if __name__ == "__main__":
    main()
