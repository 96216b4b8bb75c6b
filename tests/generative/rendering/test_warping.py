"""Where points of an image go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from generative.rendering.warping import rotation, scaling, shearing, warped
from tests.support.classifiers import noise


def ramp(size: int = 9) -> tuple[Tensor, Tensor]:
    """Offsets from the centre in pixels, x to the right and y down, as images [1, 1, size, size] each."""
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return offsets.expand(1, 1, size, size), offsets[:, None].expand(1, 1, size, size)


def test_quarter_turns() -> None:
    images = noise(2, 8)
    turned = warped(images, rotation(90), fill="grey")
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)), rtol=0, atol=1e-6)
    for _ in range(3):
        turned = warped(turned, rotation(90), fill="grey")
    torch.testing.assert_close(turned, images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("matrix", [rotation(20), scaling(1.3), shearing(0.3)], ids=["rotation", "scale", "shear"])
def test_points_go_where_the_matrix_sends_them(matrix: Tensor) -> None:
    """A linear image stays linear under bilinear sampling: its value at p is that of the point that went to p."""
    x, y = ramp()
    back = torch.linalg.inv(matrix)
    for image, row in ((x, back[0]), (y, back[1])):
        found = warped(image, matrix, fill="grey")
        torch.testing.assert_close(found[..., 3:6, 3:6], (row[0] * x + row[1] * y)[..., 3:6, 3:6])


def test_images_need_not_be_square() -> None:
    x, y = torch.zeros(1, 1, 6, 10), torch.zeros(1, 1, 6, 10)
    x[..., :] = torch.arange(10) - 4.5
    y[..., :] = (torch.arange(6) - 2.5)[:, None]
    torch.testing.assert_close(warped(x, rotation(90), fill="grey")[..., 2:4, 4:6], -y[..., 2:4, 4:6])


def test_borders() -> None:
    images = torch.ones(1, 1, 8, 8)
    assert warped(images, scaling(0.5), fill="grey")[0, 0, 0, 0] == 0
    assert warped(images, scaling(0.5), fill="reflection").eq(1).all()
    with pytest.raises(ValueError, match="unknown fill 'black': choose one of reflection, grey"):
        warped(images, scaling(0.5), fill="black")
