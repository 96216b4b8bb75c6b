"""A thousand drawn defects of each kind of DeepPCB: all are what their label says, by a count that another library makes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from datamodules.synthesis.fitting import fit
from datamodules.synthesis.painting import Painter, Style
from datamodules.synthesis.reading import choose, clean_images, pixels_of, read_examples
from generative.rendering.defects.topology import CRUMB
from tests.conftest import ROOT
from tests.generative.rendering.defects.test_primitives import counts
from tests.support.defects import KINDS

DATA = ROOT / "data" / "deeppcb"
PATCHES = 1000
RULES = {
    "bridge": lambda own, other: own < 0,
    "bump": lambda own, other: own == other == 0,
    "island": lambda own, other: (own, other) == (1, 0),
}


@pytest.mark.soak
def test_a_thousand_of_each_meet_their_rule() -> None:
    if not DATA.is_dir():
        pytest.skip(f"DeepPCB is not in {DATA}")
    examples = read_examples(DATA)
    recipe = fit(examples, choose(examples, num_real=20, seed=0), num_real=20, seed=0, families={}).recipe
    painter = Painter(recipe, Path(), Style(), seed=0)
    done: Counter[str] = Counter()
    ragged: Counter[str] = Counter()
    wrong: list[str] = []
    for number, clean in enumerate(clean_images(DATA) * 4):
        wanted = [name for name in KINDS if done[name] < PATCHES]
        if not wanted:
            break
        scene = painter.scene(pixels_of(clean, channels=1))
        copper = recipe.levels.copper(scene.clean)  # type: ignore[union-attr]
        for place, name in enumerate(wanted):
            found = painter.draw(scene, name, number=number, place=place)
            if found is None:
                continue
            done[name] += 1
            learned = recipe.classes[name]
            rows, columns = found.mask.any(axis=1).nonzero()[0], found.mask.any(axis=0).nonzero()[0]
            top, left = found.place[0].start, found.place[1].start
            tight = (slice(top + rows[0], top + rows[-1] + 1), slice(left + columns[0], left + columns[-1] + 1))
            after = copper.copy()
            after[found.place][found.mask] = learned.adds == "dark"
            least = CRUMB if found.parameters["ragged"] else 1
            ragged[name] += bool(found.parameters["ragged"])
            before, now = counts(copper, tight, least=least), counts(after, tight, least=least)
            own, other = (now[k] - before[k] for k in ((0, 1) if learned.adds == "dark" else (1, 0)))
            if not RULES[learned.family](own, other):
                wrong.append(f"{name} {number}: {own} {other}")
    print(f"drawn {dict(done)}, of them ragged {dict(ragged)}, against their rule {len(wrong)}")
    assert dict(done) == dict.fromkeys(KINDS, PATCHES)
    assert not wrong
