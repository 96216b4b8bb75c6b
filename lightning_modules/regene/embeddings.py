"""Latents in the plane by t-SNE, and how well their neighbours tell their class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import Tensor

NEIGHBOURS = 5


@dataclass(frozen=True)
class Embedding:
    """``points`` [N, 2] of the plane of the classes ``labels`` [N]."""

    title: str
    points: Tensor
    labels: Tensor


def embedded(rows: Tensor, *, perplexity: float, seed: int) -> Tensor:
    """Rows [N, D] in the plane, by t-SNE (van der Maaten and Hinton 2008) from their leading principal components: [N, 2].

    ``perplexity``, about how many neighbours count as near, above 0 and below N: ValueError for another.
    """
    if not 0.0 < perplexity < len(rows):
        raise ValueError(
            f"perplexity is above 0 and below the number of images, {len(rows)}, got {perplexity:g}: set it to "
            f"{min(30, max(1, len(rows) // 4))}, or give more images"
        )
    with threadpool_limits(limits=1):  # the same plane on any number of cores
        points = TSNE(perplexity=perplexity, random_state=seed, init="pca", n_jobs=1).fit_transform(
            rows.double().numpy()
        )
    return torch.from_numpy(points)


def neighbour_accuracy(rows: Tensor, labels: Tensor, *, neighbours: int = NEIGHBOURS) -> float:
    """The share of rows [N, D] whose class, of ``labels`` [N], most of the nearest others have; of a tie the lower class counts."""
    if len(rows) <= neighbours:
        raise ValueError(f"{neighbours} neighbours take at least {neighbours + 1} images, got {len(rows)}: give more")
    numbers = NearestNeighbors(n_neighbors=neighbours).fit(rows.double().numpy()).kneighbors(return_distance=False)
    votes = F.one_hot(labels[torch.from_numpy(numbers)], int(labels.max()) + 1).sum(dim=1)
    return float((votes.argmax(dim=1) == labels).double().mean())


def save_embeddings(embeddings: Sequence[Embedding], output: Path, name: str) -> Path:
    """A panel each, side by side, a colour a class; ``name`` in the folder ``output``, which is made."""
    from matplotlib.figure import Figure  # a second that no other task waits for

    figure = Figure(figsize=(5.2 * len(embeddings) + 0.8, 5.2), layout="constrained")
    for axes, embedding in zip(figure.subplots(1, len(embeddings), squeeze=False)[0], embeddings, strict=True):
        for label in embedding.labels.unique().tolist():
            of_class = embedding.points[embedding.labels == label]
            axes.scatter(*of_class.T.tolist(), s=9, linewidths=0, color=f"C{label}", label=str(label))
        axes.set_title(embedding.title)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.axes[-1].legend(title="class", loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=2)
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / name, dpi=100)
    return output / name
