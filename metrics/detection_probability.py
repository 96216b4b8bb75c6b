"""Probability of detection: how large a defect must be for an inspection to find it, as non-destructive testing states it.

The curve is logistic in the logarithm of the size a, POD(a) = 1 / (1 + exp(-(b0 + b1 ln a))), as MIL-HDBK-1823A has it for
inspections that answer hit or miss. a90 is the size with POD(a90) = 0.9, and a90/95 lies above it with 95 % confidence. A
bound by the likelihood ratio takes defects for independent; the bootstrap over clusters (images) is the check of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import chi2

from generative.randomness import Stream

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
NEWTON_STEPS = 100
SETTLED = 1e-10  # of a step in units of the coefficients, where the logarithms of sizes have deviation 1
FARTHEST = 40.0  # the logarithm of how much larger than the largest defect a finite bound may be


@dataclass(frozen=True)
class DetectionCurve:
    """POD(a) = 1 / (1 + exp(-(``intercept`` + ``slope`` ln a))); ``log_likelihood`` of the defects that it was fitted to."""

    intercept: float
    slope: float
    log_likelihood: float

    def probability(self, sizes: ArrayLike) -> Floats:
        """POD at sizes above 0, of any shape and in the unit of the fit: that shape, within (0, 1)."""
        return np.asarray(expit(self.intercept + self.slope * np.log(np.asarray(sizes, dtype=np.float64))))

    def size(self, probability: float = 0.9) -> float:
        """a_p, the size that is found with ``probability``: exp((ln(p / (1 - p)) - b0) / b1). ValueError where b1 <= 0."""
        check_share("probability", probability)
        if self.slope <= 0:
            raise ValueError(
                f"a{100 * probability:g} does not exist: larger defects are not found more often (slope {self.slope:.3g}); look at "
                "what was missed, or measure size in another way"
            )
        exponent = (float(logit(probability)) - self.intercept) / self.slope
        return math.exp(exponent) if exponent < math.log(np.finfo(np.float64).max) else math.inf


def fit_curve(sizes: ArrayLike, found: ArrayLike) -> DetectionCurve:
    """The curve of largest likelihood sum y ln POD + (1 - y) ln(1 - POD) of N defects.

    ``sizes`` [N] above 0 in any unit, ``found`` [N] bools. ValueError where there is no such curve: all were found, none was,
    all have one size, or one size parts the found from the missed.
    """
    logs, hits = checked(sizes, found)
    check_overlap(logs, hits)
    standard = Standard.of(logs)
    coefficients, log_likelihood = fitted(standard.of_logs(logs), hits, np.ones((1, len(logs))))
    intercept, slope = standard.of_coefficients(coefficients)[0]
    return DetectionCurve(float(intercept), float(slope), float(log_likelihood[0]))


def likelihood_bound(
    sizes: ArrayLike,
    found: ArrayLike,
    *,
    probability: float = 0.9,
    confidence: float = 0.95,
    simultaneous: bool = False,
) -> float:
    """The upper bound of a_p by the likelihood ratio, a90/95 by default: in the unit of ``sizes`` [N], ``found`` [N] bools.

    The largest a_p of all (b0, b1) whose deviance 2 (l(fit) - l(b0, b1)) is at most c. By default c is the quantile of
    2 ``confidence`` - 1 of chi-square with one degree of freedom (2.71 for 95 %): the profile likelihood of a_p, a one-sided
    bound that holds in ``confidence`` of cases for this one size. ``simultaneous`` takes the whole contour, the quantile of
    ``confidence`` with two degrees (5.99): that holds for all of the curve together, and for one size in over 99 % of cases.

    Infinite where the contour holds a curve that does not rise: then no size is known to be found with ``probability``.
    ValueError as :func:`fit_curve`, and where the fit itself does not rise.
    """
    check_share("confidence", confidence)
    if not simultaneous and confidence <= 0.5:
        raise ValueError(f"confidence must be above 0.5 for an upper bound of one size, got {confidence}")
    curve = fit_curve(sizes, found)
    best = math.log(curve.size(probability))
    logs, hits = checked(sizes, found)
    limit = float(chi2.ppf(confidence, 2) if simultaneous else chi2.ppf(2 * confidence - 1, 1))

    def excess(size: float) -> float:
        offset = float(logit(probability))
        return 2 * (curve.log_likelihood - through(logs - size, hits, offset)) - limit

    # As the size grows without end, the best curve through it flattens to the constant one.
    share = hits.mean()
    constant = len(hits) * float(share * math.log(share) + (1 - share) * math.log(1 - share))
    farthest = max(best, logs.max()) + FARTHEST
    if 2 * (curve.log_likelihood - constant) <= limit or excess(farthest) <= 0:
        return math.inf
    return math.exp(brentq(excess, best, farthest, xtol=1e-10))


def bootstrap_bound(
    sizes: ArrayLike,
    found: ArrayLike,
    clusters: ArrayLike,
    *,
    seed: int,
    probability: float = 0.9,
    confidence: float = 0.95,
    resamples: int = 1000,
) -> float:
    """The ``confidence`` quantile of a_p over fits to resampled clusters: ``sizes`` [N], ``found`` [N], ``clusters`` [N].

    ``clusters`` says which defects hang together, such as the number of the image that they are on; whole clusters are drawn
    with replacement (Efron and Tibshirani 1993, percentile). A resample whose fit does not rise, or that found nothing,
    counts as infinite; one that found all, or all above the missed, as the least size that it found.
    The same ``seed`` gives the same bound. ValueError as :func:`fit_curve`, and for fewer than two clusters.
    """
    check_share("probability", probability)
    check_share("confidence", confidence)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    fit_curve(sizes, found).size(probability)
    logs, hits = checked(sizes, found)
    names, members = np.unique(np.asarray(clusters), return_inverse=True)
    if members.shape != logs.shape:
        raise ValueError(f"clusters must name one cluster for each of {len(logs)} defects, got {members.shape}")
    if len(names) < 2:
        raise ValueError("a bootstrap over clusters needs at least two of them: give the image of each defect")
    drawn = Stream(seed, "probability of detection").integers(0, resamples * len(names), high=len(names)).numpy()
    counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn.reshape(resamples, -1)])
    return float(np.quantile(resampled(logs, hits, counts[:, members], probability), confidence, method="higher"))


def resampled(logs: Floats, hits: Bools, weights: NDArray[np.integer], probability: float) -> Floats:
    """a_p of each row of ``weights`` [B, N], how often each defect is in it: [B], with what has no fit as said above."""
    drawn = weights > 0
    least_found, least_missed = (np.where(drawn & one, logs, math.inf).min(axis=1) for one in (hits, ~hits))
    most_found, most_missed = (np.where(drawn & one, logs, -math.inf).max(axis=1) for one in (hits, ~hits))
    sizes = np.full(len(weights), math.inf)
    parted = (most_missed <= least_found) & (least_found < math.inf)
    sizes[parted] = np.exp(least_found[parted])
    fits = (most_missed > least_found) & (most_found > least_missed)
    if fits.any():
        standard = Standard.of(logs)
        found, _ = fitted(standard.of_logs(logs), hits, weights[fits].astype(np.float64))
        intercepts, slopes = standard.of_coefficients(found).T
        rising = slopes > 0
        with np.errstate(over="ignore"):
            at = np.exp((float(logit(probability)) - intercepts) / np.where(rising, slopes, 1.0))
        sizes[fits] = np.where(rising, at, math.inf)
    return sizes


@dataclass(frozen=True)
class Standard:
    """Logarithms of sizes brought to mean 0 and deviation 1, in which Newton's method is at ease whatever the unit."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, logs: Floats) -> Standard:
        return cls(float(logs.mean()), float(logs.std()))

    def of_logs(self, logs: Floats) -> Floats:
        return (logs - self.mean) / self.deviation

    def of_coefficients(self, coefficients: Floats) -> Floats:
        """Rows (intercept, slope) [B, 2] of standard logarithms as those of plain ones."""
        slopes = coefficients[:, 1] / self.deviation
        return np.stack([coefficients[:, 0] - slopes * self.mean, slopes], axis=1)


def fitted(x: Floats, hits: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Rows (b0, b1) [B, 2] of largest weighted likelihood and that likelihood's logarithm [B]; ``weights`` [B, N].

    Newton's method from the constant curve, with steps halved where the likelihood would fall.
    """
    share = (weights @ hits) / weights.sum(axis=1)
    at = np.stack([logit(share), np.zeros(len(weights))], axis=1)
    value = log_likelihood(at, x, hits, weights)
    for _ in range(NEWTON_STEPS):
        p = expit(at[:, :1] + at[:, 1:] * x)
        rest, spread = weights * (hits - p), weights * p * (1 - p)
        gradient = np.stack([rest.sum(axis=1), rest @ x], axis=1)
        a, b, c = spread.sum(axis=1), spread @ x, spread @ (x * x)
        inverse = (
            np.stack([np.stack([c, -b], axis=1), np.stack([-b, a], axis=1)], axis=1) / (a * c - b * b)[:, None, None]
        )
        step = np.einsum("bij,bj->bi", inverse, gradient)
        for _ in range(NEWTON_STEPS):
            ahead = log_likelihood(at + step, x, hits, weights)
            falls = ahead < value - 1e-12 * np.abs(value)
            if not falls.any():
                break
            step[falls] /= 2
        at, value = at + step, ahead
        if np.abs(step).max() < SETTLED:
            break
    return at, value


def log_likelihood(coefficients: Floats, x: Floats, hits: Bools, weights: Floats) -> Floats:
    """sum w (y ln POD + (1 - y) ln(1 - POD)) of rows (b0, b1) [B, 2], weights [B, N]: [B]."""
    signed = np.where(hits, -1.0, 1.0) * (coefficients[:, :1] + coefficients[:, 1:] * x)
    return -np.asarray((weights * np.logaddexp(0.0, signed)).sum(axis=1))


def through(x: Floats, hits: Bools, offset: float) -> float:
    """The largest log likelihood of curves with POD = expit(``offset``) at x = 0; x [N] is the logarithm of size from there.

    One parameter is left, the slope, and the likelihood is concave in it.
    """
    signs = np.where(hits, 1.0, -1.0)

    def score(slope: float) -> float:
        return float((signs * x * expit(-signs * (offset + slope * x))).sum())

    low, high = -1.0, 1.0
    while score(low) < 0:
        low *= 2
    while score(high) > 0:
        high *= 2
    slope = brentq(score, low, high, xtol=1e-13)
    return -float(np.logaddexp(0.0, -signs * (offset + slope * x)).sum())


def checked(sizes: ArrayLike, found: ArrayLike) -> tuple[Floats, Bools]:
    """Logarithms of sizes [N] and bools [N]; ValueError where they are not that."""
    values, hits = np.asarray(sizes, dtype=np.float64), np.asarray(found)
    if values.ndim != 1 or values.shape != hits.shape or not len(values):
        raise ValueError(f"sizes and found must be of one defect each, got shapes {values.shape} and {hits.shape}")
    if hits.dtype != np.bool_:
        if not np.isin(hits, (0, 1)).all():
            raise ValueError(f"found must be bools, or 0 and 1, got {hits[~np.isin(hits, (0, 1))][0]}")
        hits = hits.astype(np.bool_)
    good = np.isfinite(values) & (values > 0)
    if not good.all():
        raise ValueError(f"sizes must be above 0 and finite, got {values[~good][0]:g}")
    return np.log(values), hits


def check_overlap(logs: Floats, hits: Bools) -> None:
    """ValueError where no curve has the largest likelihood (Albert and Anderson 1984), and why."""
    least, most = (f"{math.exp(end):g}" for end in (logs.min(), logs.max()))
    if hits.all():
        raise ValueError(
            f"all {len(hits)} defects were found, from size {least} on: a curve needs missed ones, probe smaller sizes"
        )
    if not hits.any():
        raise ValueError(
            f"none of {len(hits)} defects was found, up to size {most}: a curve needs found ones, probe larger sizes"
        )
    if logs.min() == logs.max():
        raise ValueError(f"all defects have the size {least}: a curve needs several, probe other sizes too")
    found, missed = logs[hits], logs[~hits]
    if missed.max() <= found.min():
        raise ValueError(
            f"all defects up to size {math.exp(missed.max()):g} were missed and all from {math.exp(found.min()):g} on found: a "
            "step has no curve, probe more sizes between and about them"
        )
    if found.max() <= missed.min():
        raise ValueError(
            f"all defects up to size {math.exp(found.max()):g} were found and all from {math.exp(missed.min()):g} on missed: no "
            "such curve exists, nor a size with a high probability: look at what was missed, or measure size in another way"
        )


def check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")
