"""The questions that docs/results/inpainting.md answers: claims of the thesis, and ours, each as differences of two arms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from docs.ledger.inpainting_plan import AT, MASKS, THREE

MEASURES = {"psnr_hole": "hole", "psnr_known": "known", "psnr_raw": "whole, as drawn"}
TEN, EIGHT = "10 codes, layer 4", "10 codes, layer 8"
RESIDUAL = " + harmonic residual"
STARTS = "10 codes, layer 4, 100 steps, 8 starts"
DEEP_STARTS = "10 codes, layer 8, 75 steps, 4 starts"


@dataclass(frozen=True)
class Pair:
    """The ``arm`` minus the ``other`` by ``measure`` at holes of the name ``mask``; ``than``: holes of the other, if not those.

    ``early``: the other arm is by the generator before its end.
    """

    arm: str
    other: str
    measure: str = "psnr_hole"
    mask: str = AT
    than: str | None = None
    early: bool = False

    @property
    def against(self) -> str:
        """The other arm in words."""
        return self.other + (f" at {self.than}" if self.than else "") + (", an earlier generator" if self.early else "")


@dataclass(frozen=True)
class Question:
    """``says`` is what a source says; the answer is whether the arms of ``pairs`` are better, worse or undecided."""

    name: str
    says: str
    pairs: tuple[Pair, ...]


def at(masks: Iterable[str], arm: str, other: str, measure: str = "psnr_hole") -> list[Pair]:
    return [Pair(arm, other, measure, mask) for mask in masks]


ATTENDED = {name: f"{TEN}, {name}" for name in ("dot", "scaled", "cbam")}
STEPS_OF_CODES = ((2, 1), (5, 2), (10, 5), (20, 10), (30, 20))
QUESTIONS = (
    Question(
        "C1",
        "Attention on the composed features does not help (Tables 6.1 to 6.3: -0.32 to +0.05 dB, whole images).",
        (
            *(pair for arm in ATTENDED.values() for pair in at(THREE, arm, TEN, "psnr_raw")),
            *(Pair(arm, TEN) for arm in ATTENDED.values()),
        ),
    ),
    Question(
        "C2",
        "Scaled attention is worse than the plain one (Table 6.4: -1.06, -3.23, -1.83 dB; its second row, called dot-product, "
        "is the scaled one by the text, the caption and the list of methods).",
        tuple(at(THREE, ATTENDED["scaled"], ATTENDED["dot"], "psnr_raw")),
    ),
    Question(
        "C3",
        "More codes help, and little beyond 20 (Figures 6.1, 6.2).",
        tuple(
            Pair(f"{more} codes, layer 4", f"{fewer} codes, layer 4", measure)
            for measure in ("psnr_known", "psnr_hole")
            for more, fewer in STEPS_OF_CODES
        ),
    ),
    Question(
        "C4, known pixels",
        "Layer 8 beats layer 4 (Figures 6.1, 6.4 to 6.6): at what is known.",
        tuple(at(THREE, EIGHT, TEN, "psnr_known")),
    ),
    Question("C4, hole", "Layer 8 beats layer 4: in the hole.", tuple(at(THREE, EIGHT, TEN))),
    Question(
        "C5",
        "Holes of 25 % cost 3 to 4 dB against 12 %, and 40 % as much again (Tables 6.1 to 6.3, whole images).",
        tuple(
            Pair(TEN, TEN, measure, mask, than)
            for measure in ("psnr_raw", "psnr_hole")
            for mask, than in ((MASKS[1], MASKS[0]), (MASKS[2], MASKS[1]))
        ),
    ),
    Question(
        "C6",
        "Many codes beat one code, an encoder, and an encoder with a search (the multi-code paper, in words).",
        (*at(THREE, TEN, "z"), Pair(TEN, "encoder"), Pair(TEN, "z, start encoder")),
    ),
    Question(
        "C7",
        "The generator decides more than the method (chapter 7): ten codes by the trained generator and by an early one.",
        (Pair(TEN, TEN, early=True), Pair(TEN, TEN, "psnr_known", early=True)),
    ),
    Question(
        "Without a generator",
        "Ours: ten codes, with the seam mended, against fills that need no generator.",
        tuple(pair for fill in ("harmonic", "retrieval", "gaussian") for pair in at(MASKS, TEN + RESIDUAL, fill)),
    ),
    Question(
        "The gap to the Gaussian",
        "Ours: what closes it? Attempts against the conditional Gaussian, and against ten codes as they are. Those at layer 8 "
        "were added once layer 8 was seen to do best on these images.",
        tuple(
            Pair(attempt, other)
            for attempt in (
                f"{TEN}, 10 % held out{RESIDUAL}",
                f"{STARTS}{RESIDUAL}",
                f"{STARTS} + Gaussian residual",
                f"{EIGHT}{RESIDUAL}",
                f"{DEEP_STARTS}{RESIDUAL}",
                f"{DEEP_STARTS} + Gaussian residual",
                f"{TEN}, start encoder{RESIDUAL}",
                f"encoder{RESIDUAL}",
                f"{TEN}, 50 steps + Gaussian residual",
            )
            for other in ("gaussian", TEN + RESIDUAL)
        ),
    ),
)
