"""How real made defects look: the sections of docs/results/detection.md, and what claims state of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from docs.ledger.gain_answers import deviating, read_lines
from docs.ledger.inpainting_page import paragraph
from docs.ledger.results import RESULTS, Line, interval
from generative.rendering.tables import markdown

FOLDER = RESULTS / "realness"
DIFFERENCES_OF = "_differences"  # ends the name of the file of :func:`difference_lines`
AGAINST = "rendered"
ARMS = {  # key: what the page calls it
    AGAINST: "drawn, matched",
    "refined": "drawn and refined",
    "filled": "holes in drawn shapes, filled",
    "style_transfer": "style transfer",
    "cycle": "Cycle GAN",
    "pasted": "real ones pasted where the rim fits",
}
MEASURES = ("auroc", "psnr", "fd", "kid")
LEAST_SEEDS = 3  # of an interval
CHANCE = 0.5  # the AUROC of what cannot be told apart
REAL = (
    "A classifier of patches is trained to tell made defects from real ones of the test boards, on half of the boards, and "
    "tested on the others: 0.5 says that it cannot, 1 that it always can (mean and 95 % interval over seeds). Nearer to 0.5 "
    "than drawn ones: by how much the AUROC's distance from 0.5 is smaller, in hundredths, paired by seed. The background "
    "is that of the patches, beside the defects: of drawn defects JPEG alone changes it. FD and KID are "
    "distances from the real patches in features of EfficientNet-Lite0. FD is larger where fewer patches are compared, as "
    "of real ones against real ones, halves; KID is not. `python -m docs.ledger.realness --data FOLDER "
    "--precision bf16-mixed` measures it."
)


def realness_page(*, beside: Sequence[str]) -> Iterator[str]:
    """Sections of the sets that no detector was trained on; ``beside``: the names of the others."""
    for path in sorted(FOLDER.glob("*.jsonl")):
        if path.stem not in beside and not path.stem.endswith(DIFFERENCES_OF):
            yield f"## {path.stem}"
            yield from realness_section(path.stem, explained=not beside)
            yield ""


def realness_section(name: str, *, explained: bool = True) -> Iterator[str]:
    """How real the made defects of a set look, where that was measured; ``explained``: with what the columns are."""
    lines = read_lines(FOLDER / f"{name}.jsonl")
    if not lines:
        return
    yield from ("", "### How real they look", "", *(paragraph(REAL) if explained else []))
    nearer = {(line["num_real"], line["arm"]): line for line in difference_lines(lines) if "points" in line}
    rows = []
    for number in sorted({line["num_real"] for line in lines if "num_real" in line}):
        for arm, title in ARMS.items():
            own = [line for line in lines if line["arm"] == arm and line.get("num_real") == number and "fd" in line]
            if not own:
                continue
            mean, half = interval([line["auroc"] for line in own])
            told = f"{mean:.3f}" if len(own) < LEAST_SEEDS else f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"
            difference = nearer.get((number, arm))
            by = "-" if difference is None else "{points:+.1f} ({low:.1f} to {high:.1f})".format(**difference)
            decibels = deviating([line["psnr"] for line in own])
            rows.append(
                [title, str(number), str(len(own)), told, by, decibels, *(mean_of(own, key) for key in ("fd", "kid"))]
            )
    for line in lines:
        if line["arm"] == "floor":
            rows.append(["real against real", "-", "-", "-", "-", "-", f"{line['fd']:.1f}", f"{line['kid']:.3f}"])
    titles = ("arm", "real ones known", "seeds", "AUROC", "nearer to 0.5", "background, dB", "FD", "KID")
    yield markdown(titles, rows)


def difference_lines(lines: Sequence[Line]) -> list[Line]:
    """Of each arm its means over seeds, and by how many hundredths its AUROC is nearer to one half than that of drawn defects.

    The difference is paired by seed.
    """
    found: list[Line] = []
    for number in sorted({line["num_real"] for line in lines if "num_real" in line}):
        drawn = distances(lines, AGAINST, number)
        for arm in ARMS:
            told = [line for line in lines if line["arm"] == arm and line.get("num_real") == number and "auroc" in line]
            if told:
                means = {key: round(fmean(line[key] for line in told), 4) for key in MEASURES}
                found.append({"num_real": number, "arm": arm, "measure": "mean", "seeds": len(told)} | means)
            own = distances(lines, arm, number)
            both = sorted(set(own) & set(drawn))
            if arm == AGAINST or len(both) < LEAST_SEEDS:
                continue
            mean, half = interval([100 * (drawn[seed] - own[seed]) for seed in both])
            ends = {"points": mean, "low": mean - half, "high": mean + half}
            line = {"num_real": number, "arm": arm, "against": AGAINST, "measure": "nearer to 0.5", "seeds": len(both)}
            found.append(line | {key: round(end, 3) for key, end in ends.items()})
    return found


def distances(lines: Sequence[Line], arm: str, number: int) -> dict[int, float]:
    """Seed -> how far the AUROC of an arm is from one half."""
    own = [line for line in lines if line["arm"] == arm and line.get("num_real") == number and "auroc" in line]
    return {line["seed"]: abs(line["auroc"] - CHANCE) for line in own}


def mean_of(lines: Sequence[Line], key: str) -> str:
    return f"{fmean(line[key] for line in lines):.{1 if key == 'fd' else 3}f}"
