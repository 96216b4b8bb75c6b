"""Progressive training: each stage at its size and batch, on any ranks, killed anywhere, and what no list of stages is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.poly_inr.module import PolyINR, reduced
from tests.support.ranks import fit, keep, on_ranks, outcomes
from tests.support.same_run import assert_same_run, killed_at

# Digits of 8 x 8: two steps of 8 images at 2 pixels, two of 16 at 4, then of 16 at 8.
STAGED = (
    "method=poly_inr", "+method.resolutions=[[0,2],[0.016,4],[0.048,8]]", "+datamodule.batch_sizes=[[0,8],[0.016,16]]",
    "max_kimg=0.08", "critic@method.critic=projected", "method.critic.side=32", "method.critic.width=8",
    "method.critic.class_dim=8", "method.critic.group_size=4", "method.loss=hinge", "method.r1_gamma=0",
)  # fmt: skip
STEPS = 6
SmallRun = Callable[..., tuple[Path, dict[str, float]]]


def seen_by_the_critic(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(images, pixels a side) of what the critic is asked about, in order."""
    found: list[tuple[int, int]] = []
    ask = PolyINR.critic_objective

    def noted(self: PolyINR, part: dict[str, Any], fake_images: torch.Tensor, *, penalize: bool) -> torch.Tensor:
        assert part["image"].shape == fake_images.shape
        found.append((len(fake_images), fake_images.shape[2]))
        return ask(self, part, fake_images, penalize=penalize)

    monkeypatch.setattr(PolyINR, "critic_objective", noted)
    return found


def test_each_stage_has_its_size_and_batch(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = seen_by_the_critic(monkeypatch)
    folder, _ = small_run(*STAGED, "callbacks.metrics.every_kimg=0", "callbacks.samples.every_kimg=0.016")
    assert seen == [(8, 2), (8, 2), (16, 4), (16, 4), (16, 8), (16, 8)]
    grids = {path.name for path in (folder / "samples").glob("kimg_*.png")}
    assert {
        "kimg_000000.000_2px.png",
        "kimg_000000.000_8px.png",
        "kimg_000000.032_4px.png",
        "kimg_000000.080_8px.png",
    } <= grids


def test_a_run_that_does_not_grow_is_shown_at_the_sizes_that_are_asked_for(small_run: SmallRun) -> None:
    plain = [
        "method=poly_inr",
        "max_kimg=0.016",
        "callbacks.metrics.every_kimg=0",
        "callbacks.samples.image_sizes=[16]",
    ]
    folder, _ = small_run(*plain)
    assert {path.name for path in (folder / "samples").glob("kimg_*.png")} == {
        "kimg_000000.000_16px.png",
        "kimg_000000.016_16px.png",
    }


def test_images_are_means_over_areas() -> None:
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        reduced(images, (4, 4)), images.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean(dim=(3, 5)), atol=1e-12
    )
    assert reduced(images, (8, 8)) is images


def fit_of_a_rank(rank: int, folder: Path) -> None:
    outcome, _, _ = fit(*STAGED, num_steps=STEPS, num_ranks=2)
    keep(outcome, folder, rank, "double")


def test_two_ranks_learn_what_one_does(tmp_path: Path) -> None:
    processes = on_ranks(2, fit_of_a_rank, tmp_path)
    whole, method, _ = fit(*STAGED, num_steps=STEPS)
    while not processes.join():
        pass
    first, second = outcomes(tmp_path, 2, "double")
    assert method.images_seen == 80
    for name, value in whole.weights.items():
        assert torch.equal(first.weights[name], second.weights[name]), name
        torch.testing.assert_close(first.weights[name], value, rtol=1e-9, atol=1e-9, msg=name)
    assert first.numbers | second.numbers == whole.numbers == set(range(80))


@pytest.mark.parametrize("at", [16, 32])
def test_a_run_killed_in_a_stage_or_at_its_border_goes_on_to_the_same_bits(
    at: int, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = [*STAGED, "save_every_kimg=0.008", "callbacks.metrics.every_kimg=0", "callbacks.samples.every_kimg=0.016"]
    whole, _ = small_run(*words, run_dir=tmp_path / "whole")
    with killed_at(at):
        small_run(*words)
    seen = seen_by_the_critic(monkeypatch)
    resumed, _ = small_run(*words, "resume=auto")
    assert seen[0] == (16, 4)
    assert_same_run(resumed, whole)


@pytest.mark.parametrize(("settings", "said"), [
    (("+method.resolutions=[[0,8],[0.016,4],[0.048,8]]",), r"is to grow, got \[8, 4, 8\]"),
    (("+method.resolutions=[[0,2],[0.016,4]]",), "ends with the data's 8 pixels"),
    (("+method.resolutions=[[0,4],[0.08,8]]",), r"grows to 8 pixels at 0.08 kimg, and the run ends at 0.08"),
    (("+method.resolutions=[[0.01,8]]",), "begins at 0 kimg"),
    (("+method.resolutions=[[0,4],[0.016,8]]", "critic@method.critic=conv"), "ConvCritic sees images of one size"),
    (("method.r1_gamma=0.1", "critic@method.critic=conv", "method.r1_every=65"), "r1_every=65 is more than the 5 steps"),
    (("+datamodule.batch_sizes=[[0,0]]",), "batch_sizes is a list of"),
])  # fmt: skip
def test_what_is_no_list_of_stages_is_refused(settings: tuple[str, ...], said: str) -> None:
    plain = [word for word in STAGED if not word.startswith(("+", "method.critic.", "method.loss"))]
    critic = [word for word in STAGED if word.startswith("method.critic.")]
    conv = any(word.startswith("critic@") and "conv" in word for word in settings)
    if conv:
        plain = [word for word in plain if not word.startswith("critic@")]
        plain = [word for word in plain if word != "method.r1_gamma=0"]
    with pytest.raises(ValueError, match=said):
        fit(*plain, *([] if conv else critic), *settings, "datamodule.batch_size=16", num_steps=1)
