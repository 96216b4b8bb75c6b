"""Edits along a boundary of latents, of a generator and judges whose answers are known by thought."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.digits import Digits
from lightning_modules.tasks.boundary import boundary, edit_boundary, moved, unit_mean_square
from tests.support.waves import FirstWave, Waves

DATA = Digits(batch_size=8, seed=0)
FAST: dict[str, Any] = {"seed": 0, "datamodule": DATA, "steps": 4, "count": 3}


class NamedZ(Waves):
    """Its space calls its latents z, as those whose points a boundary can move."""

    space_names = ("z",)

    def space(self, name: str, labels: Tensor | None = None, *, samples: Tensor, settings: Any = None) -> Any:
        space = super().space("code", samples=samples, settings=settings)
        return Renamed(space)


class Renamed:
    name, rate, num_latents = "z", 0.1, 1

    def __init__(self, space: Any) -> None:
        self.inner = space

    def at(self, latents: Tensor) -> dict[str, Tensor]:
        return {"z": latents}

    def units(self) -> dict[str, Tensor]:
        return {"z": torch.ones(())}

    def draw(self, point: dict[str, Tensor]) -> Tensor:
        return self.inner.draw({"code": point["z"]})  # type: ignore[no-any-return]


def test_the_boundary_is_the_latent_that_the_class_hangs_on() -> None:
    found = boundary(Waves(), FirstWave(), towards=1, count=2000, seed=0, batch_size=500)
    assert found.normal.norm().item() == pytest.approx(1.0)
    assert found.normal[0].item() > 0.98
    assert found.accuracy > 0.95
    assert found.share == pytest.approx(0.5, abs=0.05)
    other = boundary(Waves(), FirstWave(), towards=0, count=2000, seed=0, batch_size=64)
    torch.testing.assert_close(other.normal, -found.normal, rtol=0, atol=1e-3)


def test_edits_move_every_latent_of_a_point_and_nothing_else() -> None:
    point = {"z": torch.zeros(2, 3, 4), "alpha": torch.ones(2, 3, 5)}
    normal = torch.tensor([0.0, 1.0, 0.0, 0.0])
    found = moved(point, normal, 2.5, hears_norms=True)
    assert found["alpha"] is point["alpha"]
    assert (found["z"] == 2.5 * normal).all()
    drifted = moved({"z": 3 * torch.ones(2, 3, 4)}, normal, 2.0, hears_norms=False)
    torch.testing.assert_close(drifted["z"][0, 0], torch.tensor([1.0, 3.0, 1.0, 1.0]))
    torch.testing.assert_close(unit_mean_square(torch.tensor([[3.0, 4.0]])).square().mean(dim=1), torch.ones(1))


def test_edited_images_change_their_class(tmp_path: Path) -> None:
    judges: dict[str, Any] = {"labeller": [FirstWave()], "judge": [FirstWave()], "towards": 1, "samples": 1000}
    written = edit_boundary(NamedZ(), tmp_path, strengths=[-8.0, 0.0, 8.0], **judges, **(FAST | {"steps": 200}))
    assert [path.name for path in written] == [f"edit_boundary.{end}" for end in ("png", "jsonl", "md")]
    lines = [json.loads(line) for line in written[1].read_text().splitlines()]
    assert [line["share_of_class"] for line in lines][::2] == [0.0, 1.0]
    assert lines[1]["feature_change"] < lines[0]["feature_change"]
    with pytest.raises(ValueError, match="points of the space code have none: choose another space"):
        edit_boundary(Waves(), tmp_path, **judges, **FAST)


def test_what_no_boundary_can_be_fitted_to(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of 60 samples the judge calls 0 class 5: a boundary takes at least 10"):
        boundary(Waves(), FirstWave(), towards=5, count=60, seed=0, batch_size=64)
    with pytest.raises(ValueError, match="samples must be at least 50, got 20"):
        boundary(Waves(), FirstWave(), towards=1, count=20, seed=0, batch_size=64)
    two: dict[str, Any] = {"labeller": [FirstWave()], "judge": [FirstWave(), FirstWave()], "towards": 1}
    with pytest.raises(ValueError, match="labeller and judge take one checkpoint each, got 1 and 2"):
        edit_boundary(NamedZ(), tmp_path, **two, **FAST)
    judges: dict[str, Any] = {"labeller": [FirstWave()], "judge": [FirstWave((3, 8, 8))], "towards": 1}
    with pytest.raises(ValueError, match=r"must take the images \(1, 8, 8\) that the checkpoint draws"):
        edit_boundary(Waves(), tmp_path, **judges, **FAST)
