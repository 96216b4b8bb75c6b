"""Phases of one image, amplitudes of another."""

from __future__ import annotations

import torch

from generative.rendering.spectra import with_amplitudes_of
from tests.support.classifiers import noise


def test_phase_and_amplitude() -> None:
    images, others = noise(2, 8, seed=0), noise(2, 8, seed=1)
    torch.testing.assert_close(with_amplitudes_of(images, images), images, rtol=0, atol=1e-6)
    # A cyclic shift changes phases alone.
    torch.testing.assert_close(with_amplitudes_of(images, images.roll((2, 3), (2, 3))), images, rtol=0, atol=1e-6)
    quiet, other = images / 20, others / 20  # so that nothing is clamped
    spectrum = torch.fft.fft2((with_amplitudes_of(quiet, other).double() + 1) / 2)
    expected = torch.fft.fft2((other.double() + 1) / 2)
    torch.testing.assert_close(spectrum.abs(), expected.abs(), rtol=1e-4, atol=1e-5)
    phases = torch.fft.fft2((quiet.double() + 1) / 2).angle()
    assert (spectrum * torch.exp(-1j * phases)).imag.abs().max() < 1e-4
