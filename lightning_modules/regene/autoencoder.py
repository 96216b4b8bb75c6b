"""The classifier's latents against those of an autoencoder of the same networks (section 4, Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from generative.checks import check_at_least
from generative.randomness import permutation
from generative.rendering.images import as_floats, image_grid, pixel_scale, save_picture, stacked
from generative.rendering.tables import markdown
from lightning_modules.base import ImageData
from lightning_modules.regene.drawing import AT_ONCE
from lightning_modules.regene.embeddings import NEIGHBOURS, Embedding, embedded, neighbour_accuracy, save_embeddings
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.objective import mean_absolute_error
from lightning_modules.regene.pictures import decoded
from lightning_modules.tasks.held_out import held_out, some_numbers
from lightning_modules.tasks.tables import write_lines

CLASSIFIER, AUTOENCODER, PIXELS = "classifier", "autoencoder", "pixels"
ITERATIONS = 1000  # of the linear layer's solver, at most
TITLES = ("space", "linear layer, test accuracy", "MAE of test images", "class named by neighbours")


def against_autoencoder(
    method: ReGene,
    output: Path,
    *,
    seed: int,
    datamodule: ImageData,
    autoencoder: list[ReGene] | None = None,
    label: int = 4,
    frames: int = 9,
    count: int = 300,
    perplexity: float = 30.0,
    taught: int = 10_000,
) -> list[Path]:
    """Section 4 and Figure 3: the latents of the classifier and of an ``autoencoder``, the checkpoint of a run of the same
    networks with method.joint=0, on the data of the classifier.

    Of both, and of the pixels, the test accuracy of a linear layer (logistic regression) that learned from ``taught`` training
    images, or all; of both the MAE of the reconstructed test images, in [0, 1]. t-SNE of ``count`` test images side by side,
    and a walk of ``frames`` between two test images of class ``label`` through both.
    """
    check_at_least(1, frames=frames, taught=taught)
    models = {CLASSIFIER: method, AUTOENCODER: the_autoencoder(method, autoencoder)}
    numbers = some_numbers(datamodule, count, seed=seed)
    picture = save_picture(
        walks(models, datamodule, label, frames, seed=seed), output, f"autoencoder_walk_class{label}.png"
    )
    train, test = (
        taught_images(datamodule, taught, seed=seed),
        held_out(datamodule, some_numbers(datamodule, None, seed=seed)),
    )
    shown, rows = [], []
    for name in (*models, PIXELS):
        model = models.get(name)
        latents = model.latents_of if model is not None else flattened
        known, unknown = (latents(train[0]), train[1]), (latents(test[0]), test[1])
        embedding = Embedding(name, embedded(unknown[0][numbers], perplexity=perplexity, seed=seed), test[1][numbers])
        rows.append(
            {
                "space": name,
                "linear_accuracy": linear_accuracy(known, unknown),
                "mae": None if model is None else reconstruction_error(model, test[0]),
                "neighbour_accuracy": neighbour_accuracy(unknown[0][numbers], test[1][numbers]),
                "neighbour_accuracy_in_plane": neighbour_accuracy(embedding.points, embedding.labels),
            }
        )
        shown += [embedding] if model is not None else []
    facts = {"count": count, "perplexity": perplexity, "neighbours": NEIGHBOURS, "taught": len(train[1]), "seed": seed}
    table = output / "autoencoder.md"
    written = write_lines([facts | row for row in rows], output / "autoencoder.jsonl")
    table.write_text(comparison(rows))
    return [picture, save_embeddings(shown, output, "autoencoder_embedding.png"), written, table]


def the_autoencoder(method: ReGene, given: list[ReGene] | None) -> ReGene:
    """ValueError unless one is given, of images of the same shape, that learned from no classes."""
    if given is None or len(given) != 1:
        raise ValueError(
            f"against_autoencoder takes one other checkpoint, got {len(given or [])}: give autoencoder=<last.ckpt of a run of "
            "the same experiment with method.joint=0 method.classifier_kimg=0>"
        )
    (other,) = given
    if other.image_shape != method.image_shape:
        raise ValueError(
            f"autoencoder takes images {other.image_shape}, and the checkpoint {method.image_shape}: give one of the same data"
        )
    if other.joint != 0:
        raise ValueError(
            f"the checkpoint given as autoencoder has joint={other.joint}, so its latents were learned from classes: give one of "
            "a run with method.joint=0 method.classifier_kimg=0"
        )
    return other


def taught_images(datamodule: ImageData, most: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """``most`` training images in the order of ``seed``, or all of them: [N, C, H, W] in [-1, 1], and their labels [N]."""
    images, labels = datamodule.split("train")
    numbers = torch.from_numpy(permutation(seed, 0, len(labels))[:most])
    return as_floats(images[numbers]), labels[numbers]


def flattened(images: Tensor) -> Tensor:
    return images.flatten(1)


def linear_accuracy(known: tuple[Tensor, Tensor], unknown: tuple[Tensor, Tensor]) -> float:
    """The accuracy on the rows [N, D] and labels [N] that are ``unknown`` of a linear layer that learned from those ``known``.

    Multinomial logistic regression of standardised rows, with a penalty of half the squared weights, by L-BFGS.
    """
    layer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    with threadpool_limits(limits=1):  # the same layer on any number of cores
        layer.fit(known[0].double().numpy(), known[1].numpy())
        return float(layer.score(unknown[0].double().numpy(), unknown[1].numpy()))


@torch.no_grad()
def reconstruction_error(model: ReGene, images: Tensor) -> float:
    """MAE of images [N, C, H, W] in [-1, 1] and their reconstructions, in units of [0, 1]."""
    parts = [part.to(model.device) for part in images.split(AT_ONCE)]
    errors = [mean_absolute_error(0.5 * (model.reconstruct(part) + 1.0), 0.5 * (part + 1.0)) for part in parts]
    return float(torch.cat(errors).double().mean())


def walks(models: Mapping[str, ReGene], datamodule: ImageData, label: int, frames: int, *, seed: int) -> Image.Image:
    """Two test images of class ``label`` and between them combinations of their latents at even ratios, a row a model."""
    labels = datamodule.split("test")[1]
    order = some_numbers(datamodule, len(labels), seed=seed)
    of_class = order[labels[order] == label]
    if len(of_class) < 2:
        raise ValueError(f"class {label} has {len(of_class)} test images, and a walk takes two: choose another label")
    ends, _ = held_out(datamodule, of_class[:2])
    ratios = torch.arange(1, frames + 1, dtype=torch.float64)[:, None] / (frames + 1)
    panels = []
    for name, model in models.items():
        first, second = model.latents_of(ends).double()
        row = torch.cat([ends[:1], decoded(model, (1.0 - ratios) * first + ratios * second), ends[1:]])
        panels.append((name, image_grid(row, num_columns=len(row), scale=pixel_scale(row.shape[2]))))
    return stacked(panels)


def comparison(rows: list[dict[str, Any]]) -> str:
    """A row a space."""
    text = []
    for row in rows:
        error = "" if row["mae"] is None else f"{row['mae']:.4f}"
        text.append([row["space"], f"{row['linear_accuracy']:.4f}", error, f"{row['neighbour_accuracy']:.3f}"])
    return markdown(TITLES, text)
