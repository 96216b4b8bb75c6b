"""What docs/results/inpainting.md asks of every generator, and the runs of `task=inpaint` that answer it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from generate import generate
from launch.compose import compose

COUNT = 100  # of test images
SEARCH = {"steps": 300, "perceptual": 0.0, "start": "random", "batch_size": 25}
MASKS = ("blocks8_12pct", "blocks8_25pct", "blocks8_40pct", "blocks4_25pct")
THREE = MASKS[:3]  # shares of the thesis' tables
AT = "blocks8_25pct"  # where everything is measured
GENERATOR, ENCODER, EARLY = "last.ckpt", "encoder", "early"  # whose checkpoint draws


@dataclass(frozen=True)
class Asked:
    """A run of the task, into a folder of this ``name``: of every mask in ``masks``, with ``settings`` of the task."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    masks: tuple[str, ...] = (AT,)
    by: str = GENERATOR


def codes(number: int, layer: int, **settings: Any) -> dict[str, Any]:
    return {"arms": ["codes"], "num_codes": number, "layer": layer, **settings}


FILLS = ["mean", "harmonic", "biharmonic", "telea", "navier_stokes", "exemplar", "gaussian", "retrieval"]
PLAN = (
    Asked("fills", {"arms": FILLS}, MASKS),
    Asked("z", {"arms": ["z"]}, MASKS),
    Asked("codes10", codes(10, 4), MASKS),
    *(
        Asked(f"codes10_{attention}", codes(10, 4, attention=attention), THREE)
        for attention in ("dot", "scaled", "cbam")
    ),
    Asked("codes10_layer8", codes(10, 8), THREE),
    *(Asked(f"codes{number}", codes(number, 4)) for number in (1, 2, 5, 20, 30)),
    *(Asked(f"codes10_layer{layer}", codes(10, layer)) for layer in (2, 6)),
    Asked("codes10_fixed", codes(10, 4, importance=False)),
    Asked("features4", {"arms": ["features"], "layer": 4}),
    Asked("codes10_early", codes(10, 4), by=EARLY),
    Asked("z_tuned", {"arms": ["z"], "tuning_steps": 100}),
    Asked("encoder", {"arms": ["encoder"]}, by=ENCODER),
    Asked("z_from_encoder", {"arms": ["z"], "start": "encoder"}, by=ENCODER),
    Asked("codes10_from_encoder", codes(10, 4, start="encoder"), by=ENCODER),
    # What would close the gap to the conditional Gaussian?
    Asked("codes10_held_out", codes(10, 4, held_out=0.1)),
    Asked("codes10_starts", codes(10, 4, starts=8, steps=100, batch_size=5) | {"arms": ["codes", "gaussian"]}),
    Asked("codes10_layer8_starts", codes(10, 8, starts=4, steps=75, batch_size=5) | {"arms": ["codes", "gaussian"]}),
    Asked("z_starts", {"arms": ["z"], "starts": 8, "steps": 100}),
    Asked("codes10_gaussian", codes(10, 4, steps=50) | {"arms": ["codes", "gaussian"]}),
)
ONCE = (
    Asked("deep_prior", {"arms": ["deep_prior"], "deep_prior_steps": 1000}),
)  # of no generator: beside the first one alone


def measure(run: Path, *, encoder: Path, judge: Path, plan: tuple[Asked, ...] = PLAN) -> Iterator[Path]:
    """Runs the ``plan`` for the generator of a ``run``, in folders of it that are yielded; what is there already is left.

    ``encoder``: the run of one for this generator. An early generator is the first snapshot that the run kept.
    """
    of = {GENERATOR: run / "checkpoints" / "last.ckpt", ENCODER: encoder / "checkpoints" / "last.ckpt"}
    of[EARLY] = first_snapshot(run)
    for asked in plan:
        for mask in asked.masks:
            folder = run / "inpainting" / mask / asked.name
            config = compose("generate")
            OmegaConf.set_struct(config, False)  # a task's own settings are no keys of the file
            own = {"checkpoint": str(of[asked.by]), "output": str(folder), "num_threads": 1}
            options = {"masks": mask, "count": COUNT, "judge": [str(judge)], **SEARCH, **asked.settings}
            generate(OmegaConf.merge(config, own, {"task": "inpaint", "options": options}))  # type: ignore[arg-type]
            yield folder


def first_snapshot(run: Path) -> Path:
    """The earliest state that a run kept beside its last; ValueError where it kept none."""
    kept = {float(path.stem.removesuffix("kimg")): path for path in (run / "checkpoints").glob("*kimg.ckpt")}
    if not kept:
        raise ValueError(f"{run} kept no earlier state: train it with callbacks.checkpoints.keep_every_kimg")
    return kept[min(kept)]
