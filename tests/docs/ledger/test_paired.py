"""Orders of arms that were given the same images by the same generators."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from docs.ledger.paired import PairedOrder, differences


def test_a_mean_that_hangs_on_seeds_alone_is_as_sure_as_those_say() -> None:
    """Every image of a seed differs alike: Student's t over seeds."""
    by_seed = np.array([1.0, 2.0, 0.5, 1.5, 1.2])
    order = PairedOrder("hole", np.repeat(by_seed[:, None], 40, axis=1), "dB")
    expected = stats.ttest_1samp(by_seed, 0.0)
    assert order.p == pytest.approx(expected.pvalue, rel=0.02)  # images add what they can add to a single mean
    low, high = expected.confidence_interval(0.95)
    assert order.difference() == pytest.approx((by_seed.mean(), low, high), rel=0.02)
    assert order.verdict(0.01) == "reproduced at this scale"
    assert order.found().startswith("hole +1.24 dB, 95 % interval +")


def test_a_mean_that_hangs_on_images_alone_is_no_surer_by_more_seeds() -> None:
    by_image = np.random.default_rng(0).normal(0.3, 1.0, size=60)
    few, many = (PairedOrder("hole", np.repeat(by_image[None], seeds, axis=0)) for seeds in (3, 30))
    assert few.error == pytest.approx(by_image.std(ddof=1) / math.sqrt(60), rel=0.02)
    assert many.error == pytest.approx(few.error, rel=0.02)
    assert many.degrees == pytest.approx(59, rel=0.02)
    assert many.p == pytest.approx(stats.ttest_1samp(by_image, 0.0).pvalue, rel=0.05)


@pytest.mark.parametrize("deviations", [(0.5, 1.0, 1.0), (1.0, 0.0, 5.0), (0.0, 1.0, 1.0), (0.0, 0.0, 1.0)])
def test_nothing_to_find_is_found_as_rarely_as_is_said(deviations: tuple[float, float, float]) -> None:
    """Seeds, images and chance differ, and the arms do not: also at a level as low as several orders ask for."""
    random, p_values = np.random.default_rng(0), []
    for _ in range(2000):
        sizes = ((5, 1), (1, 100), (5, 100))
        noise = sum(scale * random.normal(size=size) for scale, size in zip(deviations, sizes, strict=True))
        p_values.append(PairedOrder("hole", np.asarray(noise)).p)
    assert np.mean(np.less(p_values, 0.05)) < 0.07
    assert np.mean(np.less(p_values, 0.005)) < 0.009


def test_where_generators_differ_there_are_no_more_degrees_than_generators() -> None:
    """By chance the means of seeds lie so close together that images seem to differ most."""
    random, found = np.random.default_rng(2), []
    for _ in range(200):
        noise = 0.5 * random.normal(size=(5, 1)) + random.normal(size=(1, 100)) + random.normal(size=(5, 100))
        order = PairedOrder("hole", noise)
        by_seed, _, single = order.parts
        found.append(order.degrees <= 4 or by_seed <= single)
    assert all(found)


def test_arms_are_paired_by_seed_and_image() -> None:
    line = {"mask": "centre4", "images": "a", "arm": "z"}
    better = [line | {"train_seed": seed, "psnr_hole": [seed + 2.0, seed + 5.0]} for seed in (0, 1, 3)]
    worse = [line | {"train_seed": seed, "psnr_hole": [seed + 1.0, seed + 1.0]} for seed in (3, 1, 2)]
    assert differences(better, worse, "psnr_hole").tolist() == [[1.0, 4.0], [1.0, 4.0]]
    assert differences(better, [], "psnr_hole").shape == (0, 2)
    for other in ({"mask": "centre8"}, {"images": "b"}):
        with pytest.raises(ValueError, match="arms of seed 1 were given other images or holes"):
            differences(better, [worse[1] | other], "psnr_hole")
    harder = [line | {"mask": "centre8"} for line in worse]
    assert differences(better, harder, "psnr_hole", same_holes=False).tolist() == [[1.0, 4.0], [1.0, 4.0]]


def test_arms_by_other_weights_are_not_paired_and_plain_holes_count_little() -> None:
    line = {"mask": "centre4", "images": "a", "arm": "z", "kimg": 8.0, "train_seed": 0, "psnr_hole": [100.0, 15.0]}
    other = line | {"psnr_hole": [30.0, 12.0]}
    assert differences([line], [other], "psnr_hole").tolist() == [[10.0, 3.0]]
    by_others = [one | {"generator": mark} for one, mark in ((line, "a"), (other, "b"))]
    with pytest.raises(ValueError, match="arms of seed 0 are by different weights, z and z: measure both again"):
        differences(by_others[:1], by_others[1:], "psnr_hole")
    early = by_others[1] | {"kimg": 4.0}
    assert differences(by_others[:1], [early], "psnr_hole").shape == (1, 2)
    with pytest.raises(ValueError, match="other images or holes"):
        differences([line | {"sample_seed": 0}], [other | {"sample_seed": 1}], "psnr_hole")


def test_few_seeds_are_no_order_and_none_is_not_finite() -> None:
    assert PairedOrder("hole", np.ones((4, 5))).is_open
    assert not PairedOrder("hole", np.ones((5, 5))).is_open
    with pytest.raises(ValueError, match="image by image, of at least two, got 1"):
        PairedOrder("hole", np.ones((5, 1)))
    assert PairedOrder("hole", np.zeros((3, 5))).p == 1.0
    assert PairedOrder("hole", np.ones((3, 5))).p == 0.0
    assert PairedOrder("hole", -np.ones((3, 5))).verdict(0.0) == "not reproduced at this scale: the other way round"
    assert PairedOrder("hole", np.ones((3, 5))).verdict(0.2) == "undecided at this scale"
    with pytest.raises(ValueError, match="hole must be finite"):
        PairedOrder("hole", np.full((3, 5), np.nan))
