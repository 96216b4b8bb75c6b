"""Figure 4.4 in numbers: how much of the law of a latent's norm is that of a midpoint's, in 5 to 200 dimensions.

python -m docs.ledger.norms    writes docs/results/dcgan/norms.jsonl in a minute, of which `make claims` makes a row
"""

from __future__ import annotations

from collections.abc import Iterator

from docs.ledger.densities import XI
from docs.ledger.results import DOCS, Line, write_results
from generative.priors.base import Prior
from generative.priors.nonparametric import NonParametric
from generative.priors.normal import Normal
from generative.priors.norms import sampled_norm_laws
from generative.priors.uniform import Uniform
from generative.randomness import Stream

NORMS = "dcgan/norms"  # of docs/results
DIMENSIONS = (5, 10, 50, 100, 200)  # the chapter's
COUNT = 50_000  # of latents and of midpoints, as there


def overlaps(count: int = COUNT) -> Iterator[Line]:
    """The mass that both laws have, by sampled norms: from 0 to 1."""
    priors: dict[str, Prior] = {
        "uniform": Uniform(),
        "normal": Normal(),
        "nonparametric": NonParametric(objective="paper", xi=XI),
    }
    for name, prior in priors.items():
        for dim in DIMENSIONS:
            laws = sampled_norm_laws(prior, dim, count=count, stream=Stream(0, "norms"))
            yield {"prior": name, "dim": dim, "count": count, "overlap": round(laws.overlap, 4)}


def main() -> None:
    path = write_results(NORMS, list(overlaps()))
    print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
