"""A rectified flow (Liu et al. 2022) as the law on the leading principal directions of a class.

Scores divided by their deviations, x, are joined to normal noise e by straight lines z_t = (1 - t) e + t x, and a network learns
the mean of the velocity x - e at z_t. Were x normal, that would be a(t) z_t with a = (2 t - 1) / r^2 and r^2 = t^2 + (1 - t)^2,
the variance of z_t, and the flow would leave y = z_t / r where it is. So the network learns what is left, u, and the latent
follows dy/dt = u(y, t) / r: an untrained flow is the normal law.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from generative.checks import check_at_least
from generative.latents.addressed import normals
from generative.latents.bank import Bank
from generative.latents.subspaces import Subspace
from generative.randomness import Stream
from generative.schedules import half_cosine

EULER_STEPS = 50
BATCH = 256
RATE = 2e-3  # of Adam, which falls to 0 along a cosine


class Velocity(nn.Module):
    """u(y, t): y [B, q], t [B, 1] -> [B, q]; 0 before training."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        last = nn.Linear(width, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(dim + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        return self.layers(torch.cat([y, t], dim=1))


class Flow(Subspace):
    """One small flow a class, for each class has its own directions: ``steps`` of 256 points, with ``width`` hidden units.

    It is learnt at the first draw of a class, in seconds, and by ``seed``: the same on one machine with as many threads, and
    to rounding elsewhere. Classes of some hundred members are learnt by heart where steps are many.
    """

    def __init__(self, bank: Bank, *, steps: int = 1000, directions: int = 24, width: int = 128, seed: int = 0) -> None:
        super().__init__(bank, directions)
        check_at_least(0, steps=steps)
        check_at_least(1, width=width)
        self.steps, self.width, self.seed = steps, width, seed

    def law(self, scores: Tensor) -> Callable[[int, Stream], Tensor]:
        deviations = scores.square().mean(dim=0).sqrt()
        # A draw may be asked for where no gradients are recorded.
        with torch.inference_mode(False), torch.enable_grad():
            velocity = fit(scores / deviations, steps=self.steps, width=self.width, seed=self.seed)

        def point(number: int, stream: Stream) -> Tensor:
            return deviations * flowed(velocity, normals(stream.branch("point"), number, len(deviations)))

        return point


def root_variance(t: Tensor) -> Tensor:
    """r(t) = sqrt(t^2 + (1 - t)^2), the deviation of z_t where x and e are of variance 1."""
    return (t.square() + (1.0 - t).square()).sqrt()


def fit(points: Tensor, *, steps: int, width: int, seed: int) -> Velocity:
    """The velocity learnt of ``points`` [N, q] of mean 0 and variance 1, in float64 and without gradients."""
    points = points.clone().float()  # a clone can be learnt of, also where points were made in inference mode
    size, dim = points.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        velocity = Velocity(dim, width)
    optimizer = torch.optim.Adam(velocity.parameters(), lr=RATE)
    stream = Stream(seed, "flow")
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * half_cosine(step / steps)
        first = step * BATCH
        x = points[stream.branch("points").integers(first, BATCH, high=size)]
        e, t = stream.branch("noise").normal(first, BATCH, dim), stream.branch("time").uniform(first, BATCH, 1)
        z, r = (1.0 - t) * e + t * x, root_variance(t)
        target = x - e - (2.0 * t - 1.0) / r.square() * z
        optimizer.zero_grad()
        (velocity(z / r, t) - target).square().mean().backward()
        optimizer.step()
    return velocity.double().requires_grad_(False)


def flowed(velocity: nn.Module, y: Tensor) -> Tensor:
    """The end at t = 1 of the flow that begins in ``y`` [q], by 50 Euler steps, each with the velocity of its middle."""
    for step in range(EULER_STEPS):
        t = torch.full((1, 1), (step + 0.5) / EULER_STEPS, dtype=y.dtype)
        y = y + (velocity(y[None], t) / root_variance(t))[0] / EULER_STEPS
    return y
