"""How far common corruptions raise a classifier's error, in units of AlexNet's (Hendrycks and Dietterich 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

NUM_SEVERITIES = 5
# AlexNet's share of wrong images, the mean over the five severities of ImageNet-C, as its authors' code states it.
ALEXNET_ERRORS = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
ALEXNET_CLEAN_ERROR = 0.435  # on the validation photos themselves, as their Table 1 prints it


def corruption_error(errors: Sequence[float], reference_error: float) -> float:
    """CE_c = sum_s E_{s,c} / sum_s E^AlexNet_{s,c}: of the shares of wrong images at the five severities of a corruption.

    ``reference_error`` is the mean of the reference's over the severities. 1 is as bad as the reference, 0 no error.
    """
    if len(errors) != NUM_SEVERITIES:
        raise ValueError(f"a corruption has errors at {NUM_SEVERITIES} severities, got {len(errors)} of them")
    outside = next((error for error in errors if not 0.0 <= error <= 1.0), None)
    if outside is not None:
        raise ValueError(f"an error is a share of the images, from 0 to 1, got {outside}")
    if reference_error <= 0.0:
        raise ValueError(
            f"a reference without errors measures nothing: its error must be above 0, got {reference_error}"
        )
    return fmean(errors) / reference_error


def mean_corruption_error(errors: Mapping[str, Sequence[float]], reference_errors: Mapping[str, float]) -> float:
    """mCE: the mean of :func:`corruption_error` over the corruptions, which must be those of ``reference_errors``."""
    check_corruptions(errors, reference_errors)
    return fmean(corruption_error(errors[name], reference_errors[name]) for name in reference_errors)


def relative_mce(
    errors: Mapping[str, Sequence[float]],
    clean_error: float,
    reference_errors: Mapping[str, float],
    reference_clean_error: float,
) -> float:
    """Relative mCE: the mean of sum_s (E_{s,c} - E_clean) / sum_s (E^AlexNet_{s,c} - E^AlexNet_clean): what corruption adds."""
    check_corruptions(errors, reference_errors)
    return fmean(
        (fmean(errors[name]) - clean_error) / (reference_errors[name] - reference_clean_error)
        for name in reference_errors
    )


def check_corruptions(errors: Mapping[str, Sequence[float]], reference_errors: Mapping[str, float]) -> None:
    """ValueError unless both are of the same corruptions: a mean over some is another number."""
    different = sorted(errors.keys() ^ reference_errors.keys())
    if different:
        raise ValueError(
            f"the mean is over the corruptions of the reference, and {', '.join(different)} are of one side only"
        )
