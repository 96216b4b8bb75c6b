"""The text and the picture of docs/results/dfm.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING

from docs.ledger.codec_peers import NAMES
from docs.ledger.inpainting_page import paragraph
from docs.ledger.results import RESULTS, Line, interval, read_results
from generative.codec.rate_distortion import bd_rate
from generative.rendering.tables import markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = RESULTS / "dfm.md"
CHART = RESULTS / "dfm" / "codec.png"
FILE = "dfm/codec"
RATES = "dfm/codec_rates"
COMMAND = "python -m docs.ledger.codec --images FOLDER"
COLUMNS = 6  # of the picture
Points = list[tuple[float, float]]
INTRODUCTION = (
    "A network of Fourier layers is fitted to an image, its coefficients are rounded and range-coded, and it is fine-tuned while "
    "they are rounded (`lightning_modules/dfm/codec.py`). All bytes of a file count, header and checksum too. Peers: JPEG with "
    "the best of whole and quartered colours, baseline and progressive, with optimised tables; WebP, method 6; AVIF, the best of "
    "whole and quartered colours, speed 4; JPEG XL, effort 7. Each at 20 qualities, of which those are kept that are better than "
    "all cheaper ones."
)
HOW_TO_READ = (
    "BD-rate: what ours takes more than the peer at equal PSNR, the mean over the PSNR that both reach, by Akima's interpolation; "
    "below 0 ours is smaller. Mean with half of its 95 % interval over images. Images whose curves share no PSNR with the peer's "
    "are left out of it."
)


PUBLISHED = (  # of codecs that fit a network to each image, as their authors state it
    (
        "COIN (Dupont et al. 2021)",
        "SIREN, weights at 16 bits, no entropy coding",
        "ahead of JPEG at 0.3 bits a pixel and below",
    ),
    ("COOL-CHIC (Ladune et al. 2023)", "grids of latents, 680 multiplications a pixel", "close to HEVC"),
    (
        "Cool-chic (Blard et al. 2024)",
        "the same, about 2,000 multiplications a pixel; a small one 300",
        "on par with VVC; the small one ahead of HEVC",
    ),
    (
        "Cool-chic 4.0 (its release notes, Kodak)",
        "1,303 multiplications a pixel",
        "BD-rate -17.2 % to HEVC (HM 16), +3.4 % to VVC (VTM 19), -4.3 % to C3",
    ),
)
STANDING = (
    "Codecs that fit a network to each image, by what their authors publish; none of it was measured here, and their photos are "
    "larger. Ours multiplies each pixel by every coefficient: so many times a pixel as the file has numbers."
)


def page() -> str:
    """The text of docs/results/dfm.md."""
    lines = read_results(FILE)
    text = ["# Deep Fourier Machines: a codec beside others", ""]
    if not lines:
        return "\n".join([*text, f"Nothing was measured yet: `{COMMAND}`.", ""])
    text += [*paragraph(INTRODUCTION), *paragraph(HOW_TO_READ)]
    for side, budget in groups(lines):
        text += [*section(of_group(lines, side, budget), side, budget)]
    text += ["## Beside other codecs of one network an image", "", *paragraph(STANDING)]
    text += [markdown(("codec", "what it stores", "published"), [list(row) for row in PUBLISHED])]
    if CHART.exists():
        text += ["![PSNR over bits a pixel, an image a panel](dfm/codec.png)", ""]
    return "\n".join(text)


def groups(lines: Sequence[Line]) -> list[tuple[int, str]]:
    """Sizes and budgets that ours was measured at."""
    return sorted({(line["side"], line["budget"]) for line in lines if line["codec"] == "ours"})


def of_group(lines: Sequence[Line], side: int, budget: str) -> list[Line]:
    return [line for line in lines if line["side"] == side and line.get("budget", budget) == budget]


def curves(lines: Sequence[Line]) -> dict[str, dict[str, Points]]:
    """By image and codec: points of bits a pixel and dB."""
    found: dict[str, dict[str, Points]] = {}
    for line in lines:
        own = found.setdefault(line["image"], {})
        if line["codec"] == "ours":
            own.setdefault("ours", []).append((line["rate"], line["psnr"]))
        else:
            own[line["codec"]] = [(rate, quality) for rate, quality in line["curve"]]
    return {image: own for image, own in found.items() if "ours" in own}


def section(lines: Sequence[Line], side: int, budget: str) -> Iterator[str]:
    """Of one size of images: at each rate, BD-rates over images, and image by image."""
    own, by_image = [line for line in lines if line["codec"] == "ours"], curves(lines)
    yield from (f"## {len(by_image)} images of {side} x {side} pixels, {budget} of fitting", "")
    seconds, decoding = (fmean(line[name] for line in own) for name in ("seconds", "seconds_decoding"))
    places = "; ".join(sorted({line["environment"]["processor"] for line in own}))
    yield from paragraph(
        f"A file takes {seconds:.1f} s of the processor to make, tuning and rate control included, and {decoding:.2f} s to decode. "
        f"Seeds {', '.join(str(seed) for seed in sorted({line['seed'] for line in own}))}; {places}."
    )
    yield rate_table(own, by_image)
    found = {codec: bd_rates(by_image, codec) for codec in NAMES}
    yield markdown(
        ("BD-rate to", "images", "mean", "median", "least", "most", "ours is smaller on"),
        [bd_row(NAMES[codec], list(rates.values())) for codec, rates in found.items() if rates],
    )
    yield markdown(
        ("image", *(f"to {name}" for name in NAMES.values())),
        [[image, *(percent(found[codec].get(image)) for codec in NAMES)] for image in sorted(by_image)],
    )


def rate_table(own: Sequence[Line], by_image: dict[str, dict[str, Points]]) -> str:
    """At each rate that was asked for the mean PSNR of ours, and of each peer within the same bytes, over the same images."""
    rows = []
    for asked in sorted({line["asked"] for line in own}):
        chosen = [line for line in own if line["asked"] == asked]
        row = [f"{asked:g}", f"{fmean(line['rate'] for line in chosen):.3f}", widths_in_words(chosen)]
        row += [f"{fmean(line[name] for line in chosen):.2f}" for name in ("psnr_fitted", "psnr")]
        for codec in NAMES:
            pairs = [
                (best_within(by_image[line["image"]].get(codec, []), line["rate"]), line["psnr"]) for line in chosen
            ]
            both = [(theirs, mine) for theirs, mine in pairs if theirs is not None]
            gain = f"{fmean(theirs - mine for theirs, mine in both):+.2f} ({len(both)})" if both else "none so small"
            row.append(gain)
        rows.append(row)
    titles = ("asked, bits a pixel", "taken", "widths", "network, dB", "file, dB")
    return markdown((*titles, *(f"{name} against it, dB (images)" for name in NAMES.values())), rows)


def widths_in_words(lines: Sequence[Line]) -> str:
    return ", ".join(str(width) for width in sorted({line["width"] for line in lines}))


def best_within(points: Points, rate: float) -> float | None:
    """The best PSNR at no more than ``rate``."""
    return max((quality for taken, quality in points if taken <= rate), default=None)


def bd_rates(by_image: dict[str, dict[str, Points]], codec: str) -> dict[str, float]:
    """What ours takes more than a peer, in percent, of each image where both can be compared."""
    found = {image: bd_rate(own[codec], own["ours"]) for image, own in by_image.items() if codec in own}
    return {image: value for image, value in found.items() if value is not None}


def rates() -> list[Line]:
    """Of each size, budget and peer: mean BD-rate in percent, half of its 95 % interval, and on how many images ours is smaller."""
    lines, rows = read_results(FILE), []
    for side, budget in groups(lines):
        by_image = curves(of_group(lines, side, budget))
        for codec, name in NAMES.items():
            if found := list(bd_rates(by_image, codec).values()):
                mean, half = interval(found)
                told = {"side": side, "budget": budget, "to": name, "images": len(found)}
                rows.append(told | {"mean": mean, "half": half, "smaller": sum(rate < 0 for rate in found)})
    return rows


def bd_row(name: str, rates: Sequence[float]) -> list[str]:
    mean, half = interval(rates)
    stated = percent(mean) if math.isnan(half) else f"{mean:+.0f} ± {half:.0f} %"
    smaller = sum(rate < 0 for rate in rates)
    return [
        name,
        str(len(rates)),
        stated,
        *map(percent, (median(rates), min(rates), max(rates))),
        f"{smaller} of {len(rates)}",
    ]


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.0f} %"


def chart() -> Figure:
    """A panel an image: PSNR over bits a pixel of ours and of the peers, where ours was measured; the largest size."""
    from matplotlib.figure import Figure

    lines = read_results(FILE)
    by_image = curves(of_group(lines, *groups(lines)[-1]))
    columns = min(COLUMNS, len(by_image))
    figure = Figure(figsize=(3.2 * columns, 2.6 * math.ceil(len(by_image) / columns) + 0.6), layout="constrained")
    panels = figure.subplots(math.ceil(len(by_image) / columns), columns, squeeze=False).flat
    for axes, (image, own) in zip(panels, sorted(by_image.items()), strict=False):
        most = 1.3 * max(rate for rate, _ in own["ours"])
        for place, (codec, name) in enumerate({"ours": "ours", **NAMES}.items()):
            points = [point for point in sorted(own.get(codec, [])) if point[0] <= most]
            if points:
                rates, quality = zip(*points, strict=True)
                axes.plot(rates, quality, marker="o" if codec == "ours" else "", color=f"C{place}", label=name)
        axes.set_title(image, fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in list(figure.axes)[len(by_image) :]:
        axes.set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    figure.supxlabel("bits a pixel", fontsize=9)
    figure.supylabel("PSNR, dB", fontsize=9)
    return figure
