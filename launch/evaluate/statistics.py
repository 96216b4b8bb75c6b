"""What the metrics need of a set of images, kept in a file that serves as reference later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generative.ranks import rank_and_world_size
from launch.evaluate.inputs import open_images
from launch.evaluate.judges import extractor_of
from launch.evaluate.requests import StatisticsRequest
from metrics.evaluation import real_facts, real_summary
from metrics.image_sets import random_part
from metrics.quality import DEFAULT_METRICS, needs
from metrics.statistics import Summary, save_summary


def measure_statistics(request: StatisticsRequest) -> dict[str, Any]:
    """Write the file; the record says what of."""
    images = random_part(open_images(request.images, split=request.split), request.num_images)
    extractor, _ = extractor_of(
        request.extractor, image_shape=images.shape, weights=request.weights, device=request.device
    )
    metrics = [name for name in request.metrics or DEFAULT_METRICS if any(needs([name], generated=False).values())]
    if not metrics:
        raise ValueError(f"none of metrics={request.metrics} looks at real images: there is nothing to save")
    summary = real_summary(images, extractor, metrics=metrics, work=request.work())
    path = Path(request.save_statistics).expanduser()
    facts = real_facts(images, extractor) | {"name": images.name}
    if rank_and_world_size()[0] == 0:
        save_summary(Summary(summary.num_images, summary.gaussians, summary.rows, facts), path)
    return {"statistics": str(path), "num_images": summary.num_images, "metrics": {}, "protocol": facts}
