"""Images by their Fourier transforms: phases say where things are, amplitudes how much there is of each frequency."""

from __future__ import annotations

import torch
from torch import Tensor


def with_amplitudes_of(images: Tensor, others: Tensor) -> Tensor:
    """Images [B, C, H, W] in [-1, 1] with their own phases and the others' amplitudes (Oppenheim and Lim 1981).

    Each channel's Fourier transform, of values in [0, 1] so that the mean is an amplitude and not a sign; what leaves
    [-1, 1] is clamped.
    """
    own, other = (torch.fft.fft2((x.double() + 1) / 2) for x in (images, others))
    mixed = torch.fft.ifft2(torch.polar(other.abs(), own.angle())).real
    return (2 * mixed - 1).clamp(-1, 1).to(images.dtype)
