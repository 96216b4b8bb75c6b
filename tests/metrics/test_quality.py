"""Quality of holes that were filled."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from metrics.measures import RESTORATION
from metrics.quality import SSIM_WINDOW, HoleQuality, ReconstructionQuality, restoration_scores


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
    found = restoration_scores(images, originals, known)
    for k in range(3):
        mask = known[k, 0]
        for name, part in (("psnr_hole", ~mask), ("psnr_known", mask), ("psnr_raw", torch.ones_like(mask))):
            assert float(found[name][k]) == pytest.approx(expected(images[k], originals[k], part))


def test_a_pasted_hole_lifts_the_whole_by_its_share() -> None:
    images, originals, known = pairs(2)
    found = restoration_scores(torch.where(known, originals, images), originals, known)
    assert found["psnr_known"].tolist() == [100.0, 100.0]
    lift = found["psnr_raw"] - found["psnr_hole"]
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
    assert values.keys() == {name for name in RESTORATION if not name.startswith("ssim")}, "too small for its window"
    each = restoration_scores(images, originals, known)
    assert values["psnr_hole"] == pytest.approx(float(each["psnr_hole"].mean()))
    errors = (images.double() - originals.double())[:, :, 2:6, 4:].square().mean()
    assert values["psnr_hole_pooled"] == pytest.approx(10 * math.log10(255**2 / float(errors)))
    assert values["psnr_hole_pooled"] < values["psnr_hole"] - 10, "an exact copy lifts the mean alone"


def test_a_pasted_image_is_measured_as_such() -> None:
    """Its PSNR is that of the hole and 10 log10 of the share; its SSIM that of pairs of images."""
    generator = torch.Generator().manual_seed(1)
    images, originals = torch.randint(0, 256, (2, 3, 1, 24, 24), generator=generator, dtype=torch.uint8)
    known = torch.rand(3, 1, 24, 24, generator=generator) > 0.3
    found = restoration_scores(images, originals, known)
    shares = (~known).double().mean(dim=(1, 2, 3))
    torch.testing.assert_close(found["psnr_pasted"], found["psnr_hole"] - 10 * shares.log10(), rtol=0, atol=1e-9)
    assert min(images.shape[2:]) >= SSIM_WINDOW
    for name, shown in (("ssim_raw", images), ("ssim_pasted", torch.where(known, originals, images))):
        for k in range(3):
            one = ReconstructionQuality(metrics=["ssim"])
            one.update(shown[k : k + 1], originals[k : k + 1])
            assert found[name][k].item() == pytest.approx(one.compute()["ssim"], abs=1e-6)
    whole = HoleQuality()
    whole.update(images, originals, known)
    assert whole.compute().keys() == RESTORATION.keys()
    assert whole.compute()["ssim_pasted"] == pytest.approx(found["ssim_pasted"].mean().item())


def test_bad_input() -> None:
    images, originals, known = pairs(2)
    with pytest.raises(ValueError, match="every image has known pixels and hidden ones"):
        restoration_scores(images, originals, torch.ones_like(known))
    with pytest.raises(ValueError, match="pairs of one shape"):
        restoration_scores(images, originals[:, :1], known)
    with pytest.raises(ValueError, match="there are no holes"):
        HoleQuality().compute()
