"""The text and the pictures of docs/results/regene.md."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from docs.ledger.inpainting_page import bullet, paragraph
from docs.ledger.results import RESULTS, Line, interval, read_results
from generative.rendering.tables import markdown
from lightning_modules.regene.frontier import frontier_figure
from lightning_modules.regene.samplers import ARMS, METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = RESULTS / "regene.md"
CHARTS = RESULTS / "regene"
FILES = {what: f"regene/{what}" for what in ("samplers", "trials", "three_distances", "theorems", "runs")}
COMMAND = "python -m docs.ledger.latents --measure RUN ..."
PIXEL_MEANS = "pixels_2"
COPIES = ("training", "images")  # what is memorised is no sampler
UNDECODED = ("pixels_2", "images")
NUMBERS = {"training": 1, "convex_2": 2, "convex_3": 3, "convex_5": 5, "convex_10": 10}
DIGITS = {"fd": 3, "precision": 3, "recall": 3, "authenticity": 3, "accuracy": 3, "tstr_accuracy": 3, "mae": 4}
TITLES = {"fd": "FD", "accuracy": "asked class", "tstr_accuracy": "TSTR"}
INTRODUCTION = (
    "Images of each sampler through the same decoder, beside images that need none: training images, and the means of the "
    "pixels of the very images whose latents `convex_2` combines. Mean and half of the 95 % interval over training seeds "
    "(three seeds: 2.5 standard deviations). Precision and recall with three neighbours; authenticity is the share of images "
    "that are no copies of training images; TSTR is the test accuracy of a machine on raw pixels that learned from 2,000 "
    "images of the arm (digits: from all). `images` are training images, `training` their reconstructions. "
    "`images` and the means of pixels hang on no training: their spread over seeds is 0. All runs are measured with one seed of "
    "the samples."
)
LEAKS = (
    "The judge of digits learned from the training images, which are combined and which are in the reference too: asked "
    "class, recall and FD of all arms are flattered alike."
)
RIVAL = (
    "`vae/...` is a class-conditional variational autoencoder of the same decoder, with a deviation of pixels that is learnt and "
    "no setting tuned. On Fashion-MNIST its 32 latents say so much of an image that its decoder does not listen to the class."
)

PRINTED = (  # Table 1: accuracy and MAE by blocks x convolutions; Figure 16, by loss, is of another network
    ("regene/cifar10_small", "4 x 1", 0.772, 0.079),
    ("regene/cifar10_4x3", "4 x 3", 0.795, 0.135),
    ("regene/cifar10_5x1", "5 x 1", 0.776, 0.135),
    ("regene/cifar10_5x3", "5 x 3", 0.808, 0.182),
    ("regene/cifar10_6x1", "6 x 1", 0.779, 0.169),
    ("regene/cifar10_6x3", "6 x 3", 0.821, 0.209),
    ("regene/cifar10_small", "cross-entropy (Figure 16)", 0.7522, 0.0667),
    ("regene/cifar10_hinge", "hinge (Figure 16)", 0.7303, 0.0695),
    ("regene/cifar10_squared_error", "squared error (Figure 16)", 0.6499, 0.0746),
    ("regene/cifar10_cosine", "cosine (Figure 16)", 0.7275, 0.0721),
)


def page() -> str:
    """The text of docs/results/regene.md."""
    lines = read_results(FILES["samplers"])
    text = ["# ReGene: which way of drawing is worth its decoder?", ""]
    if not lines:
        return "\n".join([*text, f"Nothing was measured yet: `{COMMAND}`.", ""])
    text += [*paragraph(INTRODUCTION)]
    for experiment in dict.fromkeys(line["experiment"] for line in lines):
        text += [*arms_section([line for line in lines if line["experiment"] == experiment], experiment)]
    for section in (number_section, theorem_section, trials_section, distances_section, cells_section, dial_section):
        text += [*section()]
    return "\n".join(text)


def stated(values: Sequence[float], measure: str) -> str:
    mean, half = interval(values)
    digits = DIGITS.get(measure, 3)
    return f"{mean:.{digits}f}" if len(values) < 2 else f"{mean:.{digits}f} ± {half:.{digits}f}"


def of_method(lines: Sequence[Line]) -> list[Line]:
    """Those of a classifier whose decoder learned afterwards, as the paper has it, of whole classes."""
    return [line for line in lines if line.get("joint") is None and not line.get("rare")]


def runs_in_words(lines: Sequence[Line]) -> str:
    seeds = ", ".join(str(seed) for seed in sorted({line["train_seed"] for line in lines}))
    places = {line["environment"].get("gpu", line["environment"]["processor"]) for line in lines}
    kimg = ", ".join(sorted({f"{line['kimg']:g}" for line in lines}))
    return f"Training seeds {seeds}; {kimg} thousand images seen; measured on {'; '.join(sorted(places))}."


def arms_section(lines: Sequence[Line], experiment: str) -> Iterator[str]:
    """Of one experiment a table in each space, and whether a sampler of latents beats the means of pixels."""
    yield from (f"## Every arm, `{experiment}`", "")
    first = lines[0]
    known = next(line["judge_accuracy"] for line in lines if "judge_accuracy" in line)
    leaks = f" {LEAKS}" if first["reference"].endswith(":all") else ""
    judge = f"The judge names {known:.3f} of real test images rightly."
    yield from paragraph(
        f"{first['count']} images an arm against {first['reference']}. {judge} {runs_in_words(lines)}{leaks}"
    )
    if chart_path(experiment).exists():
        yield from (
            f"![arms by recall and precision, by authenticity and TSTR](regene/{chart_path(experiment).name})",
            "",
        )
    for extractor, own in by_space(lines).items():
        yield from (f"**In {extractor}**", "", arm_table(own))
        if of_method(own):
            yield bullet(beaten_in_words(of_method(own)))
        if any(is_rival(line["arm"]) for line in own):
            yield bullet(RIVAL)
        yield ""


def by_space(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Lines by what they were measured in: pixels first, then networks, whose names carry a hash of their weights."""
    return {
        extractor: [line for line in lines if line["extractor"] == extractor]
        for extractor in sorted({line["extractor"] for line in lines}, reverse=True)
    }


def is_rival(arm: str) -> bool:
    """Whether it is another generator, which is called by its experiment, and no sampler."""
    return "/" in arm


def arm_table(lines: Sequence[Line]) -> str:
    """A row an arm, those of an autoencoder and of joint training after those of the method."""
    rows = []
    groups = sorted({line.get("joint") for line in lines}, key=lambda joint: -1.0 if joint is None else joint)
    for joint in groups:
        group = [line for line in lines if line.get("joint") == joint]
        for arm in in_order({line["arm"] for line in group}):
            own = [line for line in group if line["arm"] == arm]
            measured = [line for line in own if "gave_up" not in line]
            cells = [stated([line[name] for line in measured], name) if measured else "gave up" for name in METRICS]
            rows.append([arm + of_joint(joint), str(len(own)), *cells])
    return markdown(("arm", "seeds", *(TITLES.get(name, name) for name in METRICS)), rows)


def in_order(arms: Collection[str]) -> list[str]:
    """Arms as tables have them: those of task samplers in its order, then the other dials."""
    known = [arm for arm in ARMS if arm in arms]
    return [
        *(arm for arm in known if arm not in UNDECODED),
        *sorted(set(arms) - set(ARMS)),
        *(a for a in known if a in UNDECODED),
    ]


def of_joint(joint: float | None) -> str:
    if joint is None:
        return ""
    return " (autoencoder)" if joint == 0 else f" (joint {joint:g})"


def beaten_in_words(lines: Sequence[Line]) -> str:
    """Which samplers have a lower FD and more recall than the means of two images' pixels, in every seed."""
    base = {line["train_seed"]: line for line in lines if line["arm"] == PIXEL_MEANS}
    beat: list[str] = []
    nearest: tuple[float, str] | None = None
    for arm in dict.fromkeys(line["arm"] for line in lines):
        own = [line for line in lines if line["arm"] == arm and "gave_up" not in line]
        if arm in COPIES or arm.startswith("pixels_") or is_rival(arm) or not own:
            continue
        ratio = fmean(line["fd"] / base[line["train_seed"]]["fd"] for line in own)
        nearest = min(nearest or (ratio, arm), (ratio, arm))
        if all(
            line["fd"] < base[line["train_seed"]]["fd"] and line["recall"] > base[line["train_seed"]]["recall"]
            for line in own
        ):
            beat.append(f"{arm} (FD {ratio:.2f} times)")
    if beat:
        return f"Better than the mean of two images' pixels by FD and by recall, in every seed: {', '.join(beat)}."
    assert nearest is not None
    return (
        "No sampler of latents beats the mean of two images' pixels by FD and by recall in every seed; the nearest by FD is "
        f"{nearest[1]}, {nearest[0]:.2f} times."
    )


def number_section() -> Iterator[str]:
    """Figure 6a's question: what becomes of the asked class and of recall as more images are combined."""
    lines = of_method(read_results(FILES["samplers"]))
    yield from ("## More sources: Figure 6a", "")
    yield from paragraph(
        "The paper combines 2, 3 and 5 images, and its judge names more of them rightly each time. Recall, which it does not "
        "measure, falls. n = 1 are reconstructions of training images."
    )
    rows = []
    for experiment in dict.fromkeys(line["experiment"] for line in lines):
        for extractor, own in by_space([line for line in lines if line["experiment"] == experiment]).items():
            for arm, number in NUMBERS.items():
                chosen = [line for line in own if line["arm"] == arm]
                if chosen:
                    cells = [stated([line[name] for line in chosen], name) for name in ("accuracy", "fd", "recall")]
                    rows.append([f"`{experiment}`", extractor, str(number), *cells])
    yield markdown(("experiment", "in", "n", "asked class", "FD", "recall"), rows)


def theorem_section() -> Iterator[str]:
    """Lemma 1 and Theorem 2 on trained weights."""
    lines = of_method(read_results(FILES["theorems"]))
    yield from ("## Lemma 1 and Theorem 2", "")
    yield from paragraph(
        "Lemma 1, for as many classes as there are: a convex combination of latents that the linear head names rightly is named "
        "so too, and its margin and log-probability are no less than those of its sources combined. It says nothing of the decoded "
        "image. Theorem 2 says that means have the law of the latents: then their variance would be that of the class."
    )
    rows = []
    for line in lines:
        if line["row"] == "lemma":
            slacks = [f"{line[name]:.2g}" for name in ("margin_slack", "log_probability_slack")]
            rows.append(
                [f"`{line['experiment']}`", str(line["train_seed"]), line["sources"], str(line["wrong_sources"])]
            )
            rows[-1] += [str(line["count"]), str(line["misnamed"]), *slacks]
    titles = (
        "experiment",
        "seed",
        "sources",
        "wrong among them",
        "combinations",
        "misnamed",
        "least slack of the margin",
    )
    yield markdown((*titles, "of log p"), rows)
    rows = []
    for experiment in dict.fromkeys(line["experiment"] for line in lines):
        own = [line for line in lines if line["experiment"] == experiment and line["row"] == "variance"]
        for n in sorted({line["n"] for line in own}):
            chosen = [line for line in own if line["n"] == n]
            ratio, factor = (stated([line[name] for line in chosen], "") for name in ("variance_ratio", "factor"))
            rows.append([f"`{experiment}`", str(n), ratio, factor])
    yield markdown(("experiment", "n", "variance of the mean of n over the class's", "of distinct members"), rows)


def trials_section() -> Iterator[str]:
    """Table 2: the sums over classes, and what hides in them."""
    lines = of_method(read_results(FILES["trials"]))
    yield from ("## Trials until an image passes: Table 2, Figure 16", "")
    yield from paragraph(
        "Latents and images drawn until so many images of each class passed both checks, of two sources. A class that gives "
        "up, after 1,000 tries of an image, has the most of the tries and not all images: then the sum says little, and "
        "the median of the classes' acceptance more. Beside it the share of real test images that pass. The paper, for "
        "500 images of each of ten classes: MNIST 5,166 images, Fashion-MNIST 6,103, CIFAR-10 9,046 (Table 2); CIFAR-10 by "
        "loss 10,243 with "
        "cross-entropy, 40,847 with hinge, 29,217 with squared error, 18,784 with cosine (Figure 16). 'threshold': the mean "
        "confidence in held-out images of the class, or what this share of them reaches."
    )
    rows = []
    for key in dict.fromkeys(trial_of(line) for line in lines):
        own = [line for line in lines if trial_of(line) == key]
        experiment, seed, _, accept = key
        sums = [sum(line[name] for line in own) for name in ("latents", "images", "kept")]
        given_up = [str(line["class"]) for line in own if line["kept"] < line["count"]]
        rows.append(
            [
                f"`{experiment}`",
                str(seed),
                "mean" if accept is None else f"{accept:g}",
                str(own[0]["count"]),
                *map(str, sums),
                f"{median(line['kept'] / line['images'] for line in own):.3f}",
                ", ".join(given_up) or "none",
                f"{fmean(line['real_rate'] for line in own):.3f}",
            ]
        )
    titles = ("experiment", "seed", "threshold", "images a class", "latents", "images", "kept")
    yield markdown((*titles, "acceptance, median class", "classes that gave up", "real images"), rows)


def trial_of(line: Line) -> tuple[str, int, str, float | None]:
    return line["experiment"], line["train_seed"], line["sampler"], line.get("accept")


def distances_section() -> Iterator[str]:
    """Table 3, the means over seeds."""
    lines = of_method(read_results(FILES["three_distances"]))
    yield from ("## Three distances: Table 3", "")
    yield from paragraph(
        "FD between test images (Org), their reconstructions (Recon) and images of an arm (Gen), all of the same number. The last "
        "columns are of two halves: what the number of images alone leaves. Recon-Gen is no score of a generator: of these arms "
        "`training`, which memorises, has the least."
    )
    rows = []
    for experiment, extractor, arm in dict.fromkeys(
        (line["experiment"], line["extractor"], line["arm"]) for line in lines
    ):
        own = [
            line
            for line in lines
            if (line["experiment"], line["extractor"], line["arm"]) == (experiment, extractor, arm)
        ]
        names = ("org_gen", "org_recon", "recon_gen", "org_org", "recon_recon")
        cells = [stated([line[name] for line in own], "fd") for name in names]
        rows.append([f"`{experiment}`", extractor, arm, str(len(own)), str(own[0]["count"]), *cells])
    titles = ("experiment", "in", "arm", "seeds", "images", "Org-Gen", "Org-Recon", "Recon-Gen", "Org-Org, halves")
    yield markdown((*titles, "Recon-Recon, halves"), rows)


def cells_section() -> Iterator[str]:
    """Table 1 and Figure 16, beside the printed numbers."""
    runs = {
        line["experiment"]: line
        for line in read_results(FILES["runs"])
        if line["experiment"].startswith("regene/cifar10_")
    }
    if not runs:
        return
    yield from ("## Architectures and losses on CIFAR-10: Table 1, Figure 16", "")
    yield from paragraph(
        "A quarter of the published widths, 10 epochs of the classifier and 10 of the decoder, one seed. "
        + runs_in_words(list(runs.values()))
    )
    rows = []
    for experiment, name, accuracy, error in PRINTED:
        line = runs.get(experiment)
        found = ["not trained", "-"] if line is None else [f"{line['accuracy']:.4f}", f"{line['mae']:.4f}"]
        rows.append([name, f"{accuracy:g}", found[0], f"{error:g}", found[1]])
    yield markdown(("network, loss", "accuracy, printed", "here", "MAE, printed", "here"), rows)


def dial_section() -> Iterator[str]:
    """The weight of the classifier's loss where both learn at once."""
    runs = [line for line in read_results(FILES["runs"]) if line["experiment"] == "regene/digits" and not line["rare"]]
    lines = [line for line in read_results(FILES["samplers"]) if line["experiment"] == "regene/digits"]
    if len({line["joint"] for line in runs}) < 2:
        return
    yield from ("## The dial between naming and drawing", "")
    yield from paragraph(
        "Classifier and decoder of digits learn at once, by eq. 6 and `joint` times the classifier's loss, for as many images as "
        "the decoder has otherwise. 0 is an autoencoder with a linear layer that nobody trained; 'apart' is the method."
    )
    rows = []
    for joint in sorted({line["joint"] for line in runs}, key=lambda joint: float("inf") if joint is None else joint):
        own = [line for line in runs if line["joint"] == joint]
        row = ["apart" if joint is None else f"{joint:g}", str(len(own))]
        row += [stated([line[name] for line in own], name) for name in ("accuracy", "mae")]
        for arm in ("convex_2", "variance_2"):
            drawn = [line for line in lines if line.get("joint") == joint and line["arm"] == arm]
            row += [
                stated([line[name] for line in drawn], name) if drawn else "-" for name in ("fd", "recall", "accuracy")
            ]
        rows.append(row)
    titles = ("joint", "seeds", "test accuracy", "MAE", "FD, n = 2", "recall", "asked class")
    yield markdown((*titles, "FD, variance kept", "recall ", "asked class "), rows)


def chart_path(experiment: str) -> Path:
    return CHARTS / f"frontier_{experiment.rpartition('/')[2]}.png"


def charts() -> dict[str, Figure]:
    """Of each experiment the means over seeds of its arms, in the last space, by recall and precision and so on."""
    lines = of_method(read_results(FILES["samplers"]))
    figures = {}
    for experiment in dict.fromkeys(line["experiment"] for line in lines):
        spaces = by_space([line for line in lines if line["experiment"] == experiment])
        own = spaces[min(spaces)]  # a judge's features before pixels
        figures[experiment] = frontier_figure([means(own, arm) for arm in dict.fromkeys(line["arm"] for line in own)])
    return figures


def means(lines: Sequence[Line], arm: str) -> Line:
    """An arm's measures over seeds; where it gave up, that."""
    own = [line for line in lines if line["arm"] == arm]
    measured = [line for line in own if "gave_up" not in line]
    return own[0] if not measured else measured[0] | {name: fmean(line[name] for line in measured) for name in METRICS}
