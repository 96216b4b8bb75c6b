"""Where latents and their midpoints lie: the norms of both under the prior of a model, in several dimensions."""

from __future__ import annotations

from pathlib import Path

from generative.checks import check_at_least
from generative.priors.norm_histograms import norm_histograms, save_norm_histograms
from generative.randomness import Stream
from lightning_modules.base import HasLatents
from lightning_modules.tasks.latent_models import prior_name, prior_settings
from lightning_modules.tasks.tables import write_lines

DIMENSIONS = (5, 10, 50, 100, 200)  # of Figure 4.4


def norms(
    method: HasLatents, output: Path, *, seed: int, dims: list[int] | None = None, count: int = 50000
) -> list[Path]:
    """Histograms of the norms of ``count`` latents and as many midpoints, by the model's prior in ``dims`` dimensions.

    Figure 4.4 for any prior: ``norms.png``, and ``norms.jsonl`` with the mass that both histograms have. No image is drawn.
    """
    check_at_least(2, count=count)
    dims = list(DIMENSIONS) if dims is None else dims
    if not dims:
        raise ValueError("dims is empty: name at least one dimension")
    for dim in dims:
        check_at_least(1, dims=dim)
    name, stream = prior_name(method.prior), Stream(seed, "norms")
    panels = {dim: norm_histograms(method.prior, dim, count=count, stream=stream) for dim in dims}
    facts = {"prior": name, "prior_settings": prior_settings(method), "count": count, "seed": seed}
    rows = [facts | {"dim": dim, "overlap": histograms.overlap} for dim, histograms in panels.items()]
    return [
        write_lines(rows, output / "norms.jsonl"),
        save_norm_histograms(name, panels, output / "norms.png"),
    ]
