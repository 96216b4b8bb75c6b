"""Makes docs/claims.md and the README's results table from docs/results: values are computed or read, never typed.

python -m docs.make_claims [--collect RUN ...] [--check]

--collect takes the published result of each run folder into docs/results/<experiment>.jsonl, one line a training seed;
it must be that of the unchanged experiment.
--check changes nothing and fails where a file is out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Collection
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from callbacks.loggers.csv_log import read_metrics
from docs import dgm_claims, poly_inr_claims
from docs.ledger import DOCS, Claim, common, decided, interval, read_results, stated
from docs.poly_inr_claims import GATES, NAMES
from launch.compose import compose, plain
from launch.train.run_folder import read_lines
from metrics.protocols import asked_labels
from records.settings_hash import earlier_settings_hash, settings_hash

SOURCES: dict[str, Callable[[], list[Claim]]] = {
    "Poly-INR (dissertation, chapter 6)": poly_inr_claims.claims,
    "Deep geometric moments (dissertation, chapter 5)": dgm_claims.claims,
}
README = DOCS.parent / "README.md"
MARKS = ("<!-- results: made by `make claims` -->", "<!-- end of results -->")
NUM_NEIGHBOURS = 3
PUBLISHED_SEED = 1  # of the samples: the test stage's, not the one that training was watched with


def ledger() -> str:
    header = (
        "where",
        "what it says",
        "ours, at our scale (mean ± 95 %)",
        "seeds",
        "hardware",
        "kimg",
        "command",
        "verdict",
    )
    lines = [
        "# Claims",
        "",
        "Every table and main claim of the sources whose method has landed, with what we measured. Made by `make claims` from",
        "`docs/results`; intervals are Student's t over training seeds (for three seeds 2.5 standard deviations). The gate of the",
        "digits, on every seed: "
        + ", ".join(
            f"{metric} {'at most 1.0' if metric == 'fd' else f'at least {low:g}'}" for metric, (low, _) in GATES.items()
        )
        + ", 1,797 samples of the averaged generator against all 1,797 real",
        "digits, raw pixels rounded to uint8, k = 3, every class as often. TSTR: a classifier trained on the samples, tested on",
        "real test images.",
        "",
        "An order of two arms is *undecided* where its p (Welch's t, two-sided) is 5 % or more after Holm's correction over all",
        "orders of this page; its 95 % interval is that of itself alone. Distances are compared on logarithms, as the ratio of",
        "geometric means, since they spread by factors. *Values do not overlap*: all of one arm lie on one side of all of",
        "the other, which three seeds against three do one time in ten by chance.",
    ]
    chapters = {title: claims() for title, claims in SOURCES.items()}
    rows = iter(decided([claim for chapter in chapters.values() for claim in chapter]))
    for title, chapter in chapters.items():
        lines += ["", f"## {title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        for claim in islice(rows, len(chapter)):
            cells = (
                claim.where,
                claim.says,
                claim.ours,
                claim.seeds,
                claim.hardware,
                claim.kimg,
                claim.command,
                claim.verdict,
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def results_table() -> str:
    lines = [
        "| experiment | FD ↓ | precision ↑ | recall ↑ | asked class ↑ | seeds | kimg | training | hardware | the paper's figure |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for experiment in ("poly_inr/digits", "poly_inr/digits_text"):
        results = read_results(experiment)
        if results:
            facts = common(results, experiment)
            cells = [stated(results, metric) for metric in ("fd", "precision", "recall", "accuracy")]
            seconds = sorted(result["train_seconds"] for result in results)
            time = f"{seconds[len(seconds) // 2]:.0f} s (median, busy machine)"
            lines.append(
                f"| `{experiment}` | "
                + " | ".join([*cells, facts["seeds"], facts["kimg"], time, facts["hardware"], "none on digits"])
                + " |"
            )
    return "\n".join(lines)


def floor_words() -> str:
    """What the table's numbers are of, and what real digits score: read from what `python -m docs.floor` wrote."""
    halves, *smaller = read_results("data/digits_floor")
    ours, _ = interval([result["metrics"]["fd"] for result in read_results("poly_inr/digits")])
    floor, count = halves["fd_at"], f"{halves['at']:,}"
    alike = " and ".join(f"{line['fd_at']:.3f}" for line in smaller)
    words = (
        f"FD, precision and recall: {count} samples, every class as often (`labels=balanced`), against the {count} digits, "
        f"raw pixels (`fd_pixels_{halves['at']}`). A perfect generator would have an FD of {floor:.2f} here; that of "
        f"`poly_inr/digits` is {ours / floor:.1f} times as large. How {floor:.2f} comes about (`python -m docs.floor`): no two "
        f"parts have {count} digits each, but the FD of two sets of n images from one source is bias alone and falls as 1 / n. "
        f"Random halves, {halves['num_images']} digits each, have {halves['fd']:.3f} (mean of {halves['splits']} splits, "
        f"standard deviation {halves['fd_spread']:.3f}), which makes {floor:.3f} at {count}; thirds and quarters make {alike}. "
        f"Halves have a precision of {halves['precision']:.2f} and a recall of {halves['recall']:.2f}."
    )
    return textwrap.fill(words, 120, break_on_hyphens=False)


def with_table(readme: str) -> str:
    before, _, rest = readme.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{results_table()}\n\n{floor_words()}\n{MARKS[1]}{after}"


def publishable(record: dict[str, Any], hashes: Collection[str], *, data: str, labels: str) -> bool:
    """Whether a result is that of the unchanged experiment: its last checkpoint, its whole budget, all real images.

    ``hashes`` of its settings, ``data`` the name of its data set, ``labels`` as it shares out the classes of samples.
    Other extractors, judges and conventions are other results.
    """
    unchanged = (
        record.get("settings_hash") in hashes
        and record["checkpoint"] == "last.ckpt"
        and record["kimg"] >= record["budget_kimg"]
    )
    protocol = record["protocol"]
    if "task" in protocol:  # measured by the method itself
        return unchanged and protocol["data"] == f"{data}:test"
    return (
        unchanged
        and protocol["extractor"] == "pixels"
        and protocol["num_neighbours"] == NUM_NEIGHBOURS
        and protocol["judge"].startswith("support vector machine")
        and not protocol["trained_against_judge"]
        and record["num_images"] == record["num_reference"]
        and protocol["reference"] == f"{data}:all"
        and record["sample_seed"] == PUBLISHED_SEED
        and asked_labels(protocol) in (labels, "none")
        and set(NAMES.values()) <= record["metrics"].keys()
    )


def published(config: dict[str, Any], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those ``records`` of a run of ``config`` that are results of its unchanged experiment."""
    unchanged = plain(compose("train", [f"experiment={config['experiment_name']}"]))
    # By the run's own configuration: the hash in a result from before the precision counted does not tell.
    if settings_hash(config) != settings_hash(unchanged):
        return []
    hashes = (settings_hash(config), earlier_settings_hash(config))
    data = unchanged["datamodule"]["_target_"].rpartition(".")[2].lower()
    labels = unchanged["callbacks"]["metrics"]["labels"]
    return [record for record in records if publishable(record, hashes, data=data, labels=labels)]


def collect(run: Path) -> Path:
    """The published result of a run into docs/results, in place of one of the same training seed."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    experiment = config["experiment_name"]
    records = published(config, read_lines(run / "results.jsonl"))
    if not records:
        sys.exit(
            f"error: {run} has no result of the unchanged experiment {experiment}: its settings, budget or protocol differ"
        )
    record = records[-1]
    rows = read_metrics(run / "metrics.csv")
    seconds = [row["throughput/train_seconds"] for row in rows if "throughput/train_seconds" in row]
    record["train_seconds"] = round(seconds[-1], 1)
    path = DOCS / "results" / f"{experiment}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [result for result in read_results(experiment) if result["train_seed"] != record["train_seed"]]
    results = sorted([*kept, record], key=lambda result: result["train_seed"])
    path.write_text("".join(json.dumps(result) + "\n" for result in results))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="RUN")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    for run in arguments.collect:
        print(collect(run))
    made = {DOCS / "claims.md": ledger(), README: with_table(README.read_text())}
    if arguments.check:
        stale = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
        if stale:
            sys.exit(f"error: {', '.join(stale)} out of date: run make claims")
        return
    for path, text in made.items():
        path.write_text(text)
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
