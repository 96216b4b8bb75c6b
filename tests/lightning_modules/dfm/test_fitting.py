"""Fits of networks to images: repeatable, alone as among others, of a part of the pixels; collapse said; bandwidth by layer."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from generative.randomness import Stream
from lightning_modules.dfm.bandwidth import (
    LEAST_CHI,
    chi_of_frequency,
    rms_frequencies,
    rms_frequencies_at_start,
    rms_frequencies_of_images,
    rms_frequency_of_colours,
)
from lightning_modules.dfm.descent import Budget, Progress
from lightning_modules.dfm.fitting import Collapse, Fitted, decibels, fit, images_of, pixels_of, start_by, start_of
from lightning_modules.dfm.networks import Shape, hidden_states, pixel_positions
from lightning_modules.dfm.recipe import Recipe, recipe_of
from lightning_modules.dfm.start import CHI, FIRST, first_scales, growth

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


def test_pixels_of_a_step_are_a_function_of_its_number() -> None:
    """Drawn many steps at once, they are those of the stream's addresses one by one."""
    pixels = pixels_of(images(2), seed=3, numbers=[5, 9], mask=torch.arange(64).view(8, 8) % 3 > 0)
    for step, (points, targets) in zip(range(40), pixels.batches(10), strict=False):
        for place, number in enumerate(pixels.numbers):
            words = Stream(3, f"pixels of image {number}").bits(step, 1, 10)[0]
            at = pixels.known[torch.tensor([int(word) % len(pixels.known) for word in words])]
            assert torch.equal(points[place], pixels.points[at])
            assert torch.equal(targets[place], pixels.targets[place, at])


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


@pytest.mark.parametrize("chi", [0.1, 0.8])
def test_frequency_of_the_last_layer_at_the_start_by_monte_carlo(chi: float) -> None:
    """Exact derivatives of 150 networks that were drawn, at every pixel."""
    shape = Shape(width=5, depth=4, channels=3)
    drawn = [part.double() for part in start_of(shape, first_scales(shape, chi=chi), seed=0, numbers=range(150))]
    points, square = pixel_positions(16, 16), 0.0
    for axis in torch.eye(2, dtype=torch.float64):
        last, slope = torch.func.jvp(
            lambda at: hidden_states(at, drawn, shape)[-1], (points,), (axis.expand_as(points),)
        )
        square += float(slope.square().mean())
    found = math.sqrt(square / float(last.var(dim=-2, correction=0).mean())) / (2 * math.pi)
    assert found == pytest.approx(rms_frequency_of_colours(shape, first=FIRST, chi=chi), rel=0.06)


def test_chi_by_hand_and_back() -> None:
    shape = Shape(width=6, depth=6, channels=3)
    for residual in (True, False):
        own = dataclasses.replace(shape, residual=residual)
        frequency = rms_frequency_of_colours(own, first=0.4, chi=0.77)
        assert chi_of_frequency(frequency, own, first=0.4) == pytest.approx(0.77)
    # 2 pi^2 6 0.4^2 = 18.95 without growth, and five layers that double it
    assert chi_of_frequency(math.sqrt(18.9496 * 32), shape) == pytest.approx(1.0, abs=1e-5)
    assert chi_of_frequency(1.0, shape) == LEAST_CHI
    assert chi_of_frequency(9.0, Shape(width=6, depth=1, channels=3)) == CHI


def test_frequency_of_an_image_by_hand() -> None:
    """Of cos 2 pi 3 x, whose differences of neighbours are those of a wave of sin(pi 3 / 64) 64 / pi."""
    wave = (2 * math.pi * 3 * torch.arange(64) / 64).cos().expand(1, 1, 64, 64)
    expected = 64 / math.pi * math.sin(math.pi * 3 / 64)
    assert rms_frequencies_of_images(wave) == pytest.approx([expected], rel=0.02)  # one difference is beyond the edge
    assert rms_frequencies_of_images(wave.mT.to(torch.uint8) * 0 + 7) == [0.0]
    left = torch.arange(64).expand(64, 64) < 32
    hidden = torch.where(left, wave, torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert rms_frequencies_of_images(hidden, left) == rms_frequencies_of_images(wave, left)


def test_a_start_by_the_image_has_its_chi() -> None:
    """Each image's own: rough ones start with larger coefficients in the hidden layers, and only there."""
    noise = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    both = torch.cat([images(1, side=32), noise])
    shape = Shape(width=5, depth=3, channels=3)
    recipe = recipe_of("ours_image", shape)
    start = start_by(recipe, shape, both, mask=None, seed=0, numbers=[0, 1])
    alone = start_by(recipe, shape, noise, mask=None, seed=0, numbers=[1])
    assert all(torch.equal(one[0], several[1]) for one, several in zip(alone, start, strict=True))
    smooth, rough = (chi_of_frequency(frequency, shape) for frequency in rms_frequencies_of_images(both))
    assert smooth < CHI < rough
    for place in (1, 2):
        scales = start[place].flatten(1).square().mean(dim=1).sqrt().tolist()
        assert [growth(scale, 5) for scale in scales] == pytest.approx([smooth, rough], rel=0.2)
    assert torch.equal(start[0], start_of(shape, first_scales(shape), seed=0, numbers=[0, 1])[0])
