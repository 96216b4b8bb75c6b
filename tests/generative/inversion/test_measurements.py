"""What is known of an image: measured, put back, and nothing else read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from generative.inversion.measurements import Grey, Masked, Measurement, Reduced, Whole
from generative.rendering.images import to_pil, to_uint8


def images(seed: int, *, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 6, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


KNOWN = torch.rand(2, 1, 6, 12, generator=torch.Generator().manual_seed(5)) > 0.5
ALL = [Whole(), Masked(KNOWN), Grey(), Reduced(2), Reduced(3)]


@pytest.mark.parametrize("measurement", ALL, ids=repr)
def test_what_is_put_back_is_measured(measurement: Measurement) -> None:
    original, found = images(0), images(1)
    measured = measurement(original)
    consistent = measurement.put_back(found, measured)
    assert consistent.shape == found.shape
    torch.testing.assert_close(measurement(consistent), measured)
    torch.testing.assert_close(measurement.put_back(original, measured), original)
    assert not torch.allclose(measurement(found), measured)


def test_a_mask_is_an_images_own() -> None:
    measured = Masked(KNOWN)(images(0))
    for k in (0, 1):
        own = Masked(KNOWN).of(torch.tensor([k]))
        assert torch.equal(own(images(0)[k : k + 1])[0], measured[k])
        assert torch.equal(measured[k] != 0, KNOWN[k].expand(3, -1, -1))
    assert Whole().of(torch.tensor([1])) == Whole()


def test_hidden_pixels_that_are_not_finite_do_no_harm() -> None:
    spoilt = torch.where(KNOWN, images(0), float("nan")).requires_grad_()
    measured = Masked(KNOWN)(spoilt)
    (gradient,) = torch.autograd.grad(measured.square().sum(), spoilt)
    assert measured.isfinite().all()
    assert gradient.isfinite().all()


def test_grey_is_pillows_and_the_colours_stay() -> None:
    original, found = images(0), images(1)
    luma = to_uint8(Grey()(original))[0, 0].int()
    pillow = torch.from_numpy(np.array(to_pil(to_uint8(original)[0]).convert("L"))).int()
    assert (luma - pillow).abs().max() <= 1
    mixed = Grey().put_back(found, Grey()(original))
    torch.testing.assert_close(mixed[:, 0] - mixed[:, 2], found[:, 0] - found[:, 2])


def test_reduced_is_bilinear_without_a_filter() -> None:
    one = torch.arange(72.0).view(1, 1, 6, 12)
    rows = one[:, :, 1::3, 1::3]
    assert torch.equal(Reduced(3)(one), rows), "of three pixels the middle one"
    torch.testing.assert_close(Reduced(2)(one), one.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5)))
    picture = Image.fromarray(one[0, 0].numpy()).resize((4, 2), Image.Resampling.NEAREST)
    assert np.array_equal(np.array(picture), rows[0, 0].numpy())


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="nothing is known of image number 1"):
        Masked(torch.tensor([True, False]).view(2, 1, 1, 1).expand(2, 1, 3, 3))
    with pytest.raises(ValueError, match=r"a mask \[N, 1, H, W\] of true and false, got torch.float32"):
        Masked(torch.ones(2, 1, 3, 3))
    with pytest.raises(ValueError, match="3 colours, got 1 channels"):
        Grey()(images(0, channels=1))
    with pytest.raises(ValueError, match="cannot be reduced by 4: choose a divisor"):
        Reduced(4)(images(0))
    with pytest.raises(ValueError, match="at least 2, got 1"):
        Reduced(1)
