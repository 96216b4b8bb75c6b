"""Fits of networks to images: repeatable, alone as among others, of a part of the pixels; collapse said; bandwidth by layer."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from lightning_modules.dfm.bandwidth import rms_frequencies, rms_frequencies_at_start
from lightning_modules.dfm.descent import Budget, Progress
from lightning_modules.dfm.fitting import Collapse, Fitted, decibels, fit, images_of, pixels_of, start_of
from lightning_modules.dfm.networks import Shape, pixel_positions
from lightning_modules.dfm.recipe import Recipe, recipe_of
from lightning_modules.dfm.start import first_scales

SHAPE = Shape(width=4, depth=2, channels=3)
FEW = dataclasses.replace(recipe_of("ours", SHAPE), batch=16)  # fewer pixels than an image has


def images(count: int = 3, side: int = 8) -> Tensor:
    """Colours that rise from left to right, or from above to below, or both."""
    ramp = torch.linspace(20, 230, side)
    tables = [ramp.expand(side, side), ramp[:, None].expand(side, side), (ramp + ramp[:, None]) / 2]
    return torch.stack([torch.stack([table, 255 - table, table / 2]) for table in tables])[:count].to(torch.uint8)


def quick(given: Tensor, recipe: Recipe | str = FEW, steps: int = 40, **settings: object) -> Fitted:
    settings = {"dtype": torch.float64, "compiled": False, **settings}
    return fit(given, SHAPE, recipe, Budget(steps=steps), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", ["ours", "ours_adam"])
def test_an_image_is_fitted_alone_as_among_others(recipe: str) -> None:
    few = dataclasses.replace(recipe_of(recipe, SHAPE), batch=16)
    together = quick(images(), few)
    alone = quick(images()[1:2], few, numbers=[1])
    for one, several in zip(alone.course.parameters, together.course.parameters, strict=True):
        torch.testing.assert_close(one[0], several[1], rtol=0, atol=1e-9)
    other = quick(images()[1:2], few)  # as number 0: it starts elsewhere, by other pixels
    assert not torch.allclose(other.course.parameters[0][0], together.course.parameters[0][1], atol=1e-3)


def test_a_fit_is_a_function_of_its_seed() -> None:
    first, again, other = (quick(images(1), dtype=torch.float32, seed=seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, first.course.parameters, again.course.parameters))
    assert not torch.equal(first.course.parameters[0], other.course.parameters[0])


def test_smooth_images_are_learned_and_drawn_at_any_size() -> None:
    found = quick(images(), "ours")
    assert not any(found.collapsed)
    assert min(found.psnr) > max(found.psnr_mean) + 3
    assert found.psnr == pytest.approx(found.psnr_known)
    same, twice = images_of(found, 8, 8), images_of(found, 16, 16)
    torch.testing.assert_close(twice[:, :, ::2, ::2], same, rtol=0, atol=1e-10)
    assert decibels(same.flatten(2).mT, images().flatten(2).mT / 127.5 - 1) == pytest.approx(found.psnr)


def test_decibels_by_hand() -> None:
    black = torch.full((3, 4, 1), -1.0)
    found = black + torch.tensor([2 / 255, 0, 0])[:, None, None]  # one level too bright, the same, and no number
    found[2, 0, 0] = torch.nan
    one, same, none = decibels(found, black)
    assert (one, same) == (pytest.approx(20 * math.log10(255)), 100.0)
    assert math.isnan(none)


def test_each_image_has_pixels_and_a_start_of_its_own() -> None:
    first, second = start_of(SHAPE, first_scales(SHAPE), seed=0, numbers=[0, 1])[0]
    assert not torch.equal(first, second)
    pixels = pixels_of(images(2), seed=0, numbers=[0, 1], mask=None)
    steps = [points for _, (points, _) in zip(range(2), pixels.batches(16), strict=False)]
    assert not torch.equal(*steps[0])
    assert not torch.equal(*steps)


@pytest.mark.parametrize("recipe", [FEW, "ours"])
def test_hidden_pixels_say_nothing(recipe: Recipe | str) -> None:
    """Where a step takes a part of the known pixels, and where it takes all of them."""
    mask = torch.ones(8, 8, dtype=torch.bool)
    mask[2:5, 3:7] = False
    changed = torch.where(mask, images(1), 255 - images(1))
    found, other = (quick(given, recipe, mask=mask) for given in (images(1), changed))
    assert all(map(torch.equal, found.course.parameters, other.course.parameters))
    assert found.psnr_known == other.psnr_known
    assert found.psnr[0] > other.psnr[0] + 1


def test_collapse_is_an_error_of_one_image_and_said_of_several() -> None:
    stuck = Recipe("stuck", "adam", 1e-12, 64, start="printed")
    with pytest.raises(
        Collapse, match=r"has collapsed to the image's mean colour: PSNR .* take more steps \(it had 2\)"
    ) as raised:
        quick(images(1), stuck, steps=2)
    assert raised.value.fitted.collapsed == [True]
    with pytest.warns(UserWarning, match=r"networks of images \[0, 1, 2\] have collapsed"):
        quick(images(), stuck, steps=2)
    plain = torch.full((1, 3, 8, 8), 128, dtype=torch.uint8)  # has nothing but its mean colour
    assert quick(plain, stuck, steps=2).psnr_mean == [100.0]
    wild = Recipe("wild", "adam", float("1e300"), 64)
    with pytest.raises(Collapse, match="PSNR nan dB"):
        quick(images(1), wild, steps=3, dtype=torch.float32)


def test_a_budget_in_seconds_is_a_number_of_steps_that_repeats_it() -> None:
    seen: list[Progress] = []
    timed = fit(images(1), SHAPE, FEW, Budget(cpu_seconds=0.15), compiled=False, watch=seen.append)
    assert timed.course.steps > 1
    again = quick(images(1), steps=timed.course.steps, dtype=torch.float32)
    assert all(map(torch.equal, timed.course.parameters, again.course.parameters))
    assert [progress.step for progress in seen] == sorted({progress.step for progress in seen})
    assert seen[-1].step <= seen[-1].steps == timed.course.steps
    assert all(progress.seconds_left >= 0 for progress in seen)
    assert timed.course.program == "eager"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"given": images().float()},
            r"images must be uint8 \[N, C, H, W\], got torch.float32 \[3, 3, 8, 8\]: convert",
        ),
        ({"given": images()[:, :1]}, "networks of 3 channels cannot fit images of 1: give the shape as many"),
        ({"numbers": [4]}, "there are 3 images and 1 numbers of them"),
        ({"mask": torch.zeros(8, 8, dtype=torch.bool)}, "with 0 of them"),
        ({"mask": torch.ones(4, 8, dtype=torch.bool)}, r"a mask is bool \[8, 8\].* got torch.bool \[4, 8\]"),
        ({"recipe": "theirs"}, "unknown recipe 'theirs'"),
    ],
)
def test_bad_input_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        quick(**{"given": images(), **settings})  # type: ignore[arg-type]


def test_a_width_beyond_the_memory_is_refused() -> None:
    wide = Shape(width=30, depth=2, channels=3)
    with pytest.raises(ValueError, match=r"a step of width 30, with 2\^30 frequencies, takes about .* GB are free"):
        fit(images(), wide, "ours", Budget(steps=1))


@pytest.mark.parametrize("given", [{}, {"steps": 3, "cpu_seconds": 1.0}, {"steps": 0}, {"cpu_seconds": -1.0}])
def test_a_budget_is_one_positive_number(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a budget is a positive number of steps or of cpu_seconds, one of them"):
        Budget(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", ["full", "odd"])
def test_bandwidth_grows_as_the_closed_form_says(kernel: str) -> None:
    shape = Shape(width=4, depth=4, channels=1, kernel=kernel)
    scales = first_scales(shape)
    drawn = [part.double() for part in start_of(shape, scales, seed=0, numbers=range(60))]
    found = rms_frequencies(pixel_positions(16, 16), drawn, shape)
    assert found == pytest.approx(rms_frequencies_at_start(shape, scales), rel=0.08)
    assert found == sorted(found)


def test_bandwidth_of_one_wave() -> None:
    """cos 2 pi (x + y) has frequency sqrt(2) whatever its height; a constant beside it adds nothing."""
    shape = Shape(width=1, depth=1, channels=1)
    waves = torch.zeros(8, 1, dtype=torch.float64)
    waves[0], waves[3] = 5.0, 0.7
    last = torch.zeros(4, 1, dtype=torch.float64)
    assert rms_frequencies(pixel_positions(16, 16), [waves, last], shape) == pytest.approx([2**0.5], abs=1e-9)
