"""Classical upsampling with corners on corners."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from generative.rendering.upsampling import METHODS, upsample


@pytest.mark.parametrize("method", METHODS)
def test_corners_are_shared_and_constants_stay(method: str) -> None:
    """So that a comparison carries no zoom: all agree with the small image on every ninth pixel of 64."""
    image = torch.rand(2, 1, 8, 8)
    large = upsample(image, 64, method=method)
    assert large.shape == (2, 1, 64, 64)
    torch.testing.assert_close(large[..., ::9, ::9], image, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        upsample(torch.full_like(image, 0.3), 23, method=method), torch.full((2, 1, 23, 23), 0.3)
    )


@pytest.mark.parametrize(
    ("method", "filter"), [("lanczos", Image.Resampling.LANCZOS), ("bilinear", Image.Resampling.BILINEAR)]
)
def test_as_pillow_where_its_box_aligns_the_corners(method: str, filter: Image.Resampling) -> None:
    """Pillow's output pixel j looks at box start + (j + 1/2) s: with s = (n - 1) / (m - 1) and start (1 - s) / 2 that is
    our position j s. The bicubics of Pillow (a = -1/2) and torch (a = -3/4) differ."""
    image, resolution = torch.rand(9, 12), 31
    steps = [(length - 1) / (resolution - 1) for length in (12, 9)]
    left, top = ((1 - step) / 2 for step in steps)
    box = (left, top, left + resolution * steps[0], top + resolution * steps[1])
    theirs = Image.fromarray(image.numpy()).resize((resolution, resolution), filter, box=box)
    ours = upsample(image[None, None], resolution, method=method)[0, 0]
    torch.testing.assert_close(ours, torch.from_numpy(np.array(theirs)), rtol=1e-4, atol=1e-4)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no upsampling 'cubic': choose one of nearest, bilinear, bicubic, lanczos"):
        upsample(torch.zeros(1, 1, 8, 8), 16, method="cubic")
    with pytest.raises(ValueError, match="at least that of the images, 8, got 4"):
        upsample(torch.zeros(1, 1, 8, 8), 4, method="lanczos")
