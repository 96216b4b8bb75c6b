"""Quality of holes that were filled."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from metrics.measures import RESTORATION
from metrics.quality import HoleQuality, hole_psnr


def pairs(count: int, *, channels: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Images, their originals and what is known of them: in each a quarter is hidden."""
    generator = torch.Generator().manual_seed(seed)
    images, originals = torch.randint(0, 256, (2, count, channels, 8, 8), generator=generator, dtype=torch.uint8)
    known = torch.ones(count, 1, 8, 8, dtype=torch.bool)
    known[:, :, 2:6, 4:] = False
    return images, originals, known


def expected(image: Tensor, original: Tensor, part: Tensor) -> float:
    """PSNR over the pixels of ``part`` [H, W], by hand."""
    errors = [
        (float(a) - float(b)) ** 2 for a, b in zip(image[:, part].flatten(), original[:, part].flatten(), strict=True)
    ]
    return 10 * math.log10(255**2 / (sum(errors) / len(errors)))


def test_hidden_known_and_all_pixels_by_hand() -> None:
    images, originals, known = pairs(3)
    found = hole_psnr(images, originals, known)
    for k in range(3):
        mask = known[k, 0]
        for name, part in (("hole_psnr", ~mask), ("known_psnr", mask), ("psnr", torch.ones_like(mask))):
            assert float(found[name][k]) == pytest.approx(expected(images[k], originals[k], part))


def test_a_pasted_hole_lifts_the_whole_by_its_share() -> None:
    images, originals, known = pairs(2)
    found = hole_psnr(torch.where(known, originals, images), originals, known)
    assert found["known_psnr"].tolist() == [100.0, 100.0]
    lift = found["psnr"] - found["hole_psnr"]
    assert lift.tolist() == pytest.approx([-10 * math.log10(16 / 64)] * 2)


def test_batches_add_up_and_errors_are_pooled() -> None:
    images, originals, known = pairs(5)
    images[0] = originals[0]
    whole, parts = HoleQuality(), HoleQuality()
    whole.update(images, originals, known)
    for rows in (slice(0, 2), slice(2, 5)):
        parts.update(images[rows], originals[rows], known[rows])
    values = whole.compute()
    assert values == pytest.approx(parts.compute())
    assert values.keys() == RESTORATION.keys()
    each = hole_psnr(images, originals, known)
    assert values["hole_psnr"] == pytest.approx(float(each["hole_psnr"].mean()))
    errors = (images.double() - originals.double())[:, :, 2:6, 4:].square().mean()
    assert values["pooled_hole_psnr"] == pytest.approx(10 * math.log10(255**2 / float(errors)))
    assert values["pooled_hole_psnr"] < values["hole_psnr"] - 10, "an exact copy lifts the mean alone"


def test_bad_input() -> None:
    images, originals, known = pairs(2)
    with pytest.raises(ValueError, match="every image has known pixels and hidden ones"):
        hole_psnr(images, originals, torch.ones_like(known))
    with pytest.raises(ValueError, match="pairs of one shape"):
        hole_psnr(images, originals[:, :1], known)
    with pytest.raises(ValueError, match="there are no holes"):
        HoleQuality().compute()
