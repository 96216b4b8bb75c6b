"""Draws of every prior against scipy's and NumPy's samplers of the same law, and the seconds that the solvers take.

python benchmarks/priors.py [--quick]: a Markdown table and, as the last line, a JSON object. A row of draws is a batch of
4,096 latents of 100 numbers, ours addressed by their number, the peer's from a generator with a state. The floor is the
bits that the draws need. Below the table stand the CPU seconds of the priors that are solved for (OMP_NUM_THREADS=1 for
one core). These have no peer: SLSQP and trust-constr of scipy do not end on 1,024 bins.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Table, interleaved
from generative.priors.base import Prior
from generative.priors.cauchy import Cauchy
from generative.priors.gamma import Gamma
from generative.priors.nonparametric import NonParametric
from generative.priors.normal import Normal
from generative.priors.radial import Radial, solve_norms
from generative.priors.student import Student
from generative.priors.uniform import Uniform
from generative.randomness import Stream

COUNT, DIM = 4096, 100
COLUMNS = ["ratio", "floor_share", "ours_latents_s", "peer_latents_s", "floor_latents_s"]
Sampler = Callable[[np.random.Generator], np.ndarray]


def on_sphere(norms: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    normal = generator.standard_normal((COUNT, DIM))
    return norms * normal / np.linalg.norm(normal, axis=1, keepdims=True)


def from_table(prior: NonParametric) -> Sampler:
    """A bin, then a number inside of it, as the chapter has it."""
    table = prior.table
    bins, masses = len(table.masses), table.masses.numpy()

    def sample(generator: np.random.Generator) -> np.ndarray:
        chosen = generator.choice(bins, size=(COUNT, DIM), p=masses)
        return table.first + table.width * (chosen + generator.random((COUNT, DIM)))

    return sample


def peers(nonparametric: NonParametric, radial: Radial) -> dict[str, tuple[Prior, Sampler]]:
    """Each prior and a sampler of its law by the libraries, [COUNT, DIM]."""
    probabilities = torch.linspace(0.0005, 0.9995, 1000, dtype=torch.float64)[:, None]
    norms = radial.norm_quantile(probabilities, DIM).numpy()[:, 0]  # of 1,000 equal shares
    size = (COUNT, DIM)
    return {
        "normal": (Normal(), lambda g: g.standard_normal(size)),
        "uniform": (Uniform(), lambda g: g.uniform(-1.0, 1.0, size)),
        "cauchy": (Cauchy(), lambda g: g.standard_cauchy(size)),
        "gamma": (Gamma(), lambda g: on_sphere(np.sqrt(g.gamma(0.5, 2.0 * DIM, (COUNT, 1))), g)),
        "student": (
            Student(nu=3.0),
            lambda g: stats.multivariate_t(shape=np.eye(DIM), df=3.0, seed=g).rvs(COUNT),
        ),
        "nonparametric": (nonparametric, from_table(nonparametric)),
        "radial": (radial, lambda g: on_sphere(g.choice(norms, (COUNT, 1)), g)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one repetition")
    repetitions = 1 if parser.parse_args().quick else 5
    torch.set_num_threads(1)
    table = Table(COLUMNS)
    nonparametric, radial = NonParametric(xi=0.75), Radial()
    stream, generator = Stream(0, "benchmark"), np.random.default_rng(0)
    for name, (prior, sampler) in peers(nonparametric, radial).items():
        theirs = sampler(generator)
        assert theirs.shape == (COUNT, DIM)
        ours = prior.sample(0, COUNT, DIM, stream).double().abs().quantile(0.5)
        assert math.isclose(float(ours), float(np.median(np.abs(theirs))), rel_tol=0.05), f"{name} is of another law"
        times = interleaved(
            {
                "ours": lambda prior=prior: prior.sample(0, COUNT, DIM, stream),  # type: ignore[misc]
                "peer": lambda sampler=sampler: sampler(generator),  # type: ignore[misc]
                "floor": lambda: stream.bits(0, COUNT, DIM),
            },
            repetitions=repetitions,
        )
        rates = {who: COUNT / taken.median for who, taken in times.items()}
        table.add(
            name,
            {"ratio": rates["ours"] / rates["peer"], "floor_share": rates["ours"] / rates["floor"]}
            | {f"{who}_latents_s": rate for who, rate in rates.items()},
        )

    def solve_radial() -> None:
        solve_norms.cache_clear()
        radial.solution(DIM)

    print()
    solvers: dict[str, Callable[[], object]] = {
        f"nonparametric, {objective}": lambda objective=objective: NonParametric(objective=objective, xi=0.75)  # type: ignore[misc]
        for objective in ("exact", "paper", "average")
    }
    for name, times_of in interleaved(solvers | {"radial": solve_radial}, repetitions=repetitions).items():
        print(f"{name}: solved in {times_of.cpu_median:.3f} CPU seconds")
    table.print_json()


if __name__ == "__main__":
    main()
