"""The text of docs/results/inpainting.md, and its chart."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from docs.ledger.inpainting_answers import Answered, answers, holes_in_words, in_words, spoken
from docs.ledger.inpainting_lines import mean_over_seeds, of_seeds
from docs.ledger.inpainting_plan import AT, FILLS, SEARCH, THREE
from docs.ledger.inpainting_questions import EIGHT, QUESTIONS, RESIDUAL, TEN
from docs.ledger.orders import LEVEL
from docs.ledger.paired import CAP
from docs.ledger.pixel_ends import ends_in_words
from docs.ledger.results import INPAINTING, RESULTS, Line, interval, read_results
from generative.rendering.tables import markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = RESULTS / "inpainting.md"
CHART = RESULTS / "pggan" / "inpainting.png"
PICTURES = {  # of docs/results/pggan, made by the tasks of the card
    "inpaint.png": "A quarter of each image is hidden, and filled by six arms (`task=inpaint`):",
    "compositions.png": "One code and ten codes composed at layers 2 to 8: PSNR of the known pixels and of the hole "
    "(`task=compositions`):",
    "doubt.png": "Eight answers to each image, how far their mean is off, and how far they lie apart (`starts=8`):",
}
INTRODUCTION = (
    "Some pixels of an image are hidden. A generator fills them: a search finds what it can draw that agrees with the known "
    "pixels, and the rest is read off. The thesis asks whether attention, more codes or another layer help. We ask as well "
    "whether a generator is needed at all. Beside every search stand fills without one: a smooth (`harmonic`) fill, the most "
    "alike training image (`retrieval`), the mean of a Gaussian fitted to the training images given the known pixels "
    "(`gaussian`), and others. Arms are held against each other image by image, at the same holes and by the same generators."
)
HOW_TO_READ = (
    "A difference has its 95 % interval over generators and images. p is that among all {asked} of these answers that have five "
    "generators or more (Holm); below {level:g} an order is stated. 'Worse' and 'better' are said of the first arm. An image "
    "counts up to {cap:g} dB. 'Harmonic residual' says that what a search misses at the known pixels was carried into the hole "
    "smoothly, and 'Gaussian residual' that it was as the training images vary."
)
ANSWER_TITLES = ("arm", "against", "holes", "where", "difference, dB", "p", "found")
COLUMNS = {  # of a table: what a line has, called so
    "psnr_hole": "hole, dB",
    "median": "its median",
    "pooled": "pooled",
    "psnr_known": "known, dB",
    "psnr_raw": "raw, dB",
    "psnr_pasted": "pasted, dB",
    "ssim_pasted": "SSIM pasted",
    "named_alike": "class kept",
    "feature_distance": "features",
    "seconds": "s an image",
}
BY_SHARE = ("gaussian", "retrieval", TEN + RESIDUAL, TEN, "z" + RESIDUAL, "harmonic", "mean")  # of the chart
NO_SEARCH = (*FILLS, "deep_prior")
HOLE, KNOWN = "psnr_hole", "psnr_known"


def page() -> str:
    """The text of docs/results/inpainting.md."""
    lines = read_results(INPAINTING)
    text = ["# Holes filled by what a generator can draw, and without one", ""]
    if not lines:
        return "\n".join(
            [*text, "Nothing was measured yet: `python -m docs.ledger.inpainting --collect FOLDER ...`.", ""]
        )
    text += [*paragraph(INTRODUCTION)]
    for experiment in dict.fromkeys(line["experiment"] for line in lines):
        text += [*sections([line for line in lines if line["experiment"] == experiment], experiment)]
    return "\n".join(text)


def paragraph(words: str) -> tuple[str, str]:
    return textwrap.fill(words, 120, break_on_hyphens=False), ""


def bullet(words: str) -> str:
    return textwrap.fill(
        words, 120, break_on_hyphens=False, initial_indent="* ", subsequent_indent="  ", break_long_words=False
    )


def sections(lines: Sequence[Line], experiment: str) -> Iterator[str]:
    """Of one experiment's generators: what fills best, the answers, pictures, and a table of each kind of holes."""
    found = answers(lines)
    yield from (f"## What fills best, `{experiment}`", "")
    yield from paragraph(best_in_words(lines))
    yield from paragraph(ends_in_words(experiment))
    if CHART.exists():
        yield from (f"![PSNR by share hidden, codes, layer and attention]({in_results(CHART.name)})", "")
    yield from ("## Answers", "")
    for question, answered in zip(QUESTIONS, found, strict=True):
        yield from paragraph(f"**{question.name}.** {question.says}")
        yield from (bullet(words) for words in in_words(answered))
        yield ""
    for words in beside(lines):
        yield from paragraph(words)
    yield from pictures()
    yield from ("## Differences with their intervals", "")
    asked = sum(one.order is not None for pairs in found for one in pairs)
    yield from paragraph(HOW_TO_READ.format(level=LEVEL, asked=asked, cap=CAP))
    for question, answered in zip(QUESTIONS, found, strict=True):
        yield from (f"**{question.name}**", "", answer_table(answered))
    last = max(line["kimg"] for line in lines)
    for kimg, mask in dict.fromkeys((line["kimg"], line["mask"]) for line in lines):
        own = [line for line in lines if (line["kimg"], line["mask"]) == (kimg, mask)]
        early = "" if kimg == last else f", generators after {kimg:g} thousand images"
        yield from (f"## {mask}, {len(own[0][HOLE])} images, `{experiment}`{early}", "", arm_table(own))


def in_results(name: str) -> str:
    return (CHART.parent / name).relative_to(PAGE.parent).as_posix()


def pictures() -> Iterator[str]:
    shown = {name: words for name, words in PICTURES.items() if (CHART.parent / name).exists()}
    if shown:
        yield from ("## Pictures", "")
    for name, words in shown.items():
        yield from paragraph(words)
        yield from (f"![{name.removesuffix('.png')}]({in_results(name)})", "")


def answer_table(answered: Sequence[Answered]) -> str:
    return markdown(ANSWER_TITLES, [one.row() for one in answered])


def by_arm(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Best hole first."""
    arms: dict[str, list[Line]] = {}
    for line in lines:
        arms.setdefault(line["arm"], []).append(line)
    return dict(sorted(arms.items(), key=lambda item: -(mean_over_seeds(item[1], HOLE) or 0.0)))


def arm_table(lines: Sequence[Line]) -> str:
    """A row an arm, best hole first."""
    rows = []
    for arm, own in by_arm(lines).items():
        values = [mean_over_seeds(own, key) for key in COLUMNS]
        rows.append([arm, str(len(own)), *("-" if value is None else f"{value:.2f}" for value in values)])
    return markdown(("arm", "generators", *COLUMNS.values()), rows)


def last_lines(lines: Sequence[Line], arm: str, mask: str = AT) -> list[Line]:
    """Those of an arm by generators at their end."""
    last = max((line["kimg"] for line in lines), default=0.0)
    return [line for line in lines if (line["arm"], line["mask"], line["kimg"]) == (arm, mask, last)]


def best_in_words(lines: Sequence[Line]) -> str:
    """The hole's PSNR by the best search, and by the arms on which it turns whether a generator is of use; best first."""
    last = max(line["kimg"] for line in lines)
    arms = by_arm([line for line in lines if line["mask"] == AT and line["kimg"] == last])
    if not arms:
        return f"Nothing was measured at {AT}."
    best_search = next((arm for arm in arms if arm not in NO_SEARCH), TEN)
    named = {best_search, "gaussian", "retrieval", TEN + RESIDUAL, TEN, "z", "deep_prior", "harmonic"}
    told = [f"{spoken(arm)} {mean_over_seeds(arms[arm], HOLE):.2f} dB" for arm in arms if arm in named]
    images = len(next(iter(arms.values()))[0][HOLE])
    return f"PSNR in the hole, {holes_in_words(AT)} hidden in blocks of 8 pixels, {images} images: {', '.join(told)}."


def beside(lines: Sequence[Line]) -> Iterator[str]:
    """What no order of arms says: what layers cost, and how far chance goes."""
    costs = {arm: mean_over_seeds(last_lines(lines, arm), "seconds") for arm in (TEN, EIGHT)}
    if all(costs.values()):
        told = ", ".join(f"{spoken(arm)} take {seconds:.2f} s an image" for arm, seconds in costs.items())
        yield f"**C8.** Layer 8 costs more than layer 4 (in words). Here {told}, {SEARCH['steps']} steps."
    arms = dict.fromkeys(line["arm"] for line in lines)
    spreads = {arm: mean_over_seeds(last_lines(lines, arm), "psnr_hole_spread") for arm in arms}
    told = "; ".join(f"{spoken(arm)}: {spread:.2f} dB" for arm, spread in spreads.items() if spread is not None)
    if told:
        yield f"**Chance (C7).** The hole of one image differs between starts by a standard deviation of {told}."


def chart(lines: Sequence[Line]) -> Figure:
    """Means of PSNR with their intervals over generators: by the share hidden, the number of codes, the layer, the attention."""
    from matplotlib.figure import Figure  # a second that the page alone does not take

    figure = Figure(figsize=(14.4, 3.8), layout="constrained")
    shares, codes, layers, attention = figure.subplots(1, 4)
    for number, arm in enumerate(BY_SHARE):
        points = [(holes_in_words(mask), last_lines(lines, arm, mask)) for mask in THREE]
        draw_means(shares, points, HOLE, label=spoken(arm), colour=f"C{number}")
    numbered = [(str(n), last_lines(lines, f"{n} codes, layer 4")) for n in (1, 2, 5, 10, 20, 30)]
    layered = [(str(layer), last_lines(lines, f"10 codes, layer {layer}")) for layer in (2, 4, 6, 8)]
    attended = [(name, last_lines(lines, TEN + ("" if name == "none" else f", {name}"))) for name in ATTENTIONS]
    panels = ((codes, numbered, "codes"), (layers, layered, "layer"), (attention, attended, "attention"))
    for axes, points, title in panels:
        for key, style in ((HOLE, "-"), (KNOWN, "--")):
            draw_means(axes, points, key, label=key.removeprefix("psnr_"), colour="C2", style=style)
        axes.set_xlabel(title)
    shares.set_xlabel("hidden")
    shares.set_ylabel("PSNR in the hole, dB")
    codes.set_ylabel("PSNR, dB (25 % hidden)")
    for axes in (shares, codes, layers, attention):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    return figure


ATTENTIONS = ("none", "dot", "scaled", "cbam")


def draw_means(
    axes: Axes, points: Sequence[tuple[str, Sequence[Line]]], key: str, *, label: str, colour: str, style: str = "-"
) -> None:
    """A line through the means of each of ``points`` that has lines, with Student's interval where there are several."""
    shown = [(x, values) for x, own in points if (values := of_seeds(own, key))]
    if not shown:
        return
    sizes = [interval(values)[1] if len(values) > 1 else 0.0 for _, values in shown]
    means = [fmean(values) for _, values in shown]
    axes.errorbar([x for x, _ in shown], means, yerr=sizes, fmt=style + "o", markersize=3, color=colour, label=label)
