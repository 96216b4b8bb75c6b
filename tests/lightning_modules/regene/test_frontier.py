"""The picture of samplers along their dials."""

from __future__ import annotations

from typing import Any

import pytest

from generative.latents.names import named
from lightning_modules.regene.drawing import FILTERED
from lightning_modules.regene.frontier import FAMILIES, PANELS, frontier_figure
from lightning_modules.regene.samplers import DETAILED, IMAGES, PIXELS


def row(arm: str, value: float) -> dict[str, Any]:
    measures = {name: value for panel in PANELS for name in panel}
    return measures | {"arm": arm, "extractor": "pixels", "reference": "digits:all"}


@pytest.mark.parametrize("arm", [arm for arms in FAMILIES.values() for arm in arms if arm != IMAGES])
def test_every_arm_has_a_sampler(arm: str) -> None:
    assert named(arm.replace(PIXELS, "convex_").removesuffix(DETAILED).removesuffix(FILTERED))


def test_a_family_is_a_line_along_its_dial_and_arms_that_gave_up_are_left_out() -> None:
    rows = [row("convex_5", 0.1), row("convex_2", 0.4), row("images", 0.9)]
    rows.append({"arm": "convex_3", "gave_up": "class 0: 1000 tries", "extractor": "pixels", "reference": "digits:all"})
    figure = frontier_figure(rows)
    assert len(figure.axes) == len(PANELS)
    for axes in figure.axes:
        lines = {line.get_label(): list(line.get_xdata()) for line in axes.get_lines()}
        assert lines == {"means": [0.4, 0.1], "training images": [0.9]}, "in the order of the dial, not of the rows"
