"""The text of docs/results/fits.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from docs.ledger import sizes_page
from docs.ledger.inpainting_page import bullet, paragraph
from docs.ledger.results import RESULTS, Line, read_results
from generative.rendering.tables import markdown

PAGE = RESULTS / "fits.md"
FILE = "dfm/fits"
GAPS = "dfm/fits_gaps"
COMMAND = "python -m docs.ledger.fits IMAGE ... --cpu-seconds 8"
TITLES = {
    "printed": "printed",
    "ours": "ours",
    "ours_image": "ours, chi by the image",
    "ours_adam": "ours by Adam",
    "siren": "SIREN",
    "fourier_features": "Fourier features",
}
INTRODUCTION = (
    "A network of Fourier layers is fitted to one photo. `printed` is the thesis' recipe: Adam at a constant 4e-4 from "
    "coefficients of variance 2e-10. `ours` starts where features are independent, and takes Muon's steps. SIREN (Sitzmann et al. "
    "2020) and Fourier features with ReLU (Tancik et al. 2020) have about as many parameters. PSNR in dB of all pixels as bytes, "
    "after the last step; the seeds one by one, and behind them the steps. 'Mean colour' is what a collapsed network reaches."
)


def page() -> str:
    """The text of docs/results/fits.md."""
    lines = read_results(FILE)
    text = ["# Deep Fourier Machines: networks fitted to photos", ""]
    if not lines:
        text += [f"Nothing was measured yet: `{COMMAND}`.", ""]
    else:
        text += [*paragraph(INTRODUCTION)]
    for group, own in by_group(lines).items():
        text += [*section(own, *group)]
    return "\n".join([*text, *sizes_page.section(read_results(sizes_page.FILE))])


def by_group(lines: Sequence[Line]) -> dict[tuple[int, int, int, str], list[Line]]:
    """Lines by size of the photos, width and depth of the networks, and cost."""
    groups: dict[tuple[int, int, int, str], list[Line]] = {}
    for line in sorted(lines, key=lambda line: (line["size"], line["width"], line["depth"], line["budget"])):
        groups.setdefault((line["size"], line["width"], line["depth"], line["budget"]), []).append(line)
    return groups


def gaps(lines: Sequence[Line]) -> list[Line]:
    """Of each group and method how far ours is ahead on the photo where it is the least so, and the most, dB."""
    rows: list[Line] = []
    for (size, width, depth, budget), own in by_group(lines).items():
        told = {"size": size, "width": width, "depth": depth, "budget": budget}
        for name in dict.fromkeys(line["method"] for line in own):
            if name != "ours" and any(line["method"] == "ours" for line in own):
                found = gaps_by_photo(own, name).values()
                rows.append(told | {"than": name, "least": round(min(found), 3), "most": round(max(found), 3)})
        collapsed = sum(line["collapsed"] for line in own if line["method"] == "ours")
        rows.append(told | {"than": "collapse", "collapsed": collapsed})
    return rows


def section(lines: Sequence[Line], size: int, width: int, depth: int, budget: str) -> Iterator[str]:
    """Photos of one size fitted by networks of one shape at one cost."""
    yield from (f"## {size} x {size} pixels, width {width}, depth {depth}, {budget}", "")
    methods = [name for name in TITLES if any(line["method"] == name for line in lines)]
    counts = {name: next(line["parameters"] for line in lines if line["method"] == name) for name in methods}
    places = "; ".join(sorted({f"{line['environment']['processor']}, {line['program']}" for line in lines}))
    yield from paragraph(
        f"Parameters: {', '.join(f'{TITLES[name]} {counts[name]:,}' for name in methods)}. On {places}."
    )
    rows = []
    for image in dict.fromkeys(line["image"] for line in lines):
        own = [line for line in lines if line["image"] == image]
        cells = [cell([line for line in own if line["method"] == name]) for name in methods]
        rows.append([image, f"{own[0]['psnr_mean_colour']:.1f}", *cells])
    yield markdown(("photo", "mean colour", *(TITLES[name] for name in methods)), rows)
    yield from (bullet(text) for text in found(lines, methods))
    yield ""


def cell(lines: Sequence[Line]) -> str:
    """PSNR of each seed, and how many steps the fits took."""
    values = " / ".join(f"{line['psnr']:.1f}{' (collapsed)' if line['collapsed'] else ''}" for line in lines)
    return f"{values}; {fmean(line['steps'] for line in lines):.0f} steps" if lines else "-"


def found(lines: Sequence[Line], methods: Sequence[str]) -> Iterator[str]:
    """Ours beside each other method, by photo, and how many fits collapsed."""
    if "ours" in methods:
        for name in methods:
            if name == "ours":
                continue
            gaps = list(gaps_by_photo(lines, name).values())
            yield f"Ours less {TITLES[name]}, means of the photos: from {min(gaps):+.1f} to {max(gaps):+.1f} dB."
    collapsed = {name: sum(line["collapsed"] for line in lines if line["method"] == name) for name in methods}
    yield f"Collapsed: {', '.join(f'{TITLES[name]} {count}' for name, count in collapsed.items())}, of {len(lines)} fits."


def gaps_by_photo(lines: Sequence[Line], name: str) -> dict[str, float]:
    """By photo the mean PSNR of ours less that of the method ``name``, dB."""

    def mean(image: str, method: str) -> float:
        return fmean(line["psnr"] for line in lines if (line["image"], line["method"]) == (image, method))

    return {image: mean(image, "ours") - mean(image, name) for image in dict.fromkeys(line["image"] for line in lines)}
