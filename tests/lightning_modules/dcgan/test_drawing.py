"""Ways to draw of DCGAN: by running averages an image is a function of its number, by batch statistics of its group's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import lightning_modules.tasks.samples as task
from datamodules.arrays import Arrays
from generative.rendering.images import to_uint8
from lightning_modules.dcgan.drawing import BATCH, RUNNING, TOGETHER
from lightning_modules.dcgan.module import DCGAN
from lightning_modules.dcgan.networks import Critic, Generator
from metrics.samples import DrawnImages

LABELS = torch.tensor([0, 1, 1, 2, 4, 4, 4])  # of a training set: its shares are not those of all classes


def dcgan(*, normalization: str = "batch", **settings: Any) -> DCGAN:
    """An untrained one, in evaluation mode; its batch norms have seen latents of three times the prior's deviation."""
    torch.manual_seed(0)
    method = DCGAN(
        image_shape=(1, 8, 8),
        num_classes=10,
        seed=0,
        generator=partial(Generator, latent_dim=8, width=4, normalization=normalization),
        critic=partial(Critic, width=4),
        generator_optimizer=torch.optim.Adam,
        critic_optimizer=torch.optim.Adam,
        half_life_images=1,
        **settings,
    )
    generator = method.averaged_generator.train()
    labels = torch.zeros(64, dtype=torch.long) if method.num_classes else None
    with torch.no_grad():
        for _ in range(5):
            generator(3 * torch.randn(64, 8), labels)
    return method.eval()


@pytest.mark.parametrize("sampling", [RUNNING, BATCH])
def test_a_sample_is_a_function_of_its_number_in_either_way(sampling: str) -> None:
    method = dcgan()
    method.use_sampling(sampling)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    whole = method.sample(0, 140, seed=5)
    for first, count in ((0, 2), (2, 70), (63, 2), (130, 10)):
        part = method.sample(first, count, seed=5)
        assert part.shape == (count, *method.image_shape)
        torch.testing.assert_close(part, whole[first : first + count], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_by_batch_statistics_an_image_hangs_on_its_group_of_64_and_on_no_other() -> None:
    method = dcgan(sample_statistics="batch")
    assert (method.sampling, method.drawn_together) == (BATCH, TOGETHER) == ("batch_statistics", 64)
    latents = method.latents(0, 2 * TOGETHER, seed=5)
    groups = torch.cat([method.decode(part) for part in latents.split(TOGETHER)])
    assert torch.equal(method.sample(60, 10, seed=5), groups[60:70])
    for others in (latents[:2], latents):  # fewer and more neighbours
        assert not torch.allclose(method.decode(others)[:2], groups[:2], atol=1e-3)
    method.use_sampling(RUNNING)
    assert method.drawn_together == 1
    torch.testing.assert_close(method.decode(latents[:2]), method.decode(latents)[:2], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(method.decode(latents)[:2], groups[:2], atol=1e-3)


def test_neighbours_that_are_not_asked_for_have_the_labels_in_turn() -> None:
    method = dcgan(conditional=True, sample_statistics="batch")
    latents = method.latents(0, TOGETHER, seed=5)

    def drawn(labels: list[int]) -> Tensor:
        return method.decode(latents, torch.tensor(labels))

    in_turn = [[3, 7, 9][(k - 10) % 3] for k in range(TOGETHER)]
    assert in_turn[10:13] == [3, 7, 9]
    assert torch.equal(method.sample(10, 3, seed=5, labels=[3, 7, 9]), drawn(in_turn)[10:13])
    assert torch.equal(method.sample(10, 3, seed=5), drawn([k % 10 for k in range(TOGETHER)])[10:13])
    with pytest.raises(ValueError, match="labels must be of 3 images, one each, got 2"):
        method.sample(10, 3, seed=5, labels=[3, 7])


def test_evaluation_and_files_have_the_same_images_in_any_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under batch statistics and with classes, where the neighbours' labels matter too: those of the evaluation."""
    method = dcgan(conditional=True)
    images = torch.zeros(len(LABELS), *method.image_shape)
    data = Arrays(train=(images, LABELS), test=(images, LABELS), num_classes=10, batch_size=4, seed=0)
    method.use_sampling(BATCH)
    drawn = DrawnImages(method, 150, seed=3, data_labels=LABELS)
    whole, labels = drawn.images(0, 150), drawn.labels()
    assert labels is not None
    for size in (64, 100, 7):
        parts = [drawn.images(first, min(size, 150 - first)) for first in range(0, 150, size)]
        assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(whole[64:128], to_uint8(method.sample(64, 64, seed=3, labels=labels[64:128])))
    method.use_sampling(RUNNING)
    monkeypatch.setattr(task, "BATCH", 50)
    (path,) = task.samples(
        method, tmp_path, seed=3, datamodule=data, count=150, format="npz", sampling="batch_statistics"
    )
    with np.load(path) as arrays:
        assert torch.equal(torch.from_numpy(arrays["arr_0"]).permute(0, 3, 1, 2), whole)
        assert arrays["arr_1"].tolist() == labels.tolist()


def test_ways_to_draw_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="sampling must be running_statistics or batch_statistics, got 'batch'"):
        dcgan().use_sampling("batch")
    method = dcgan(normalization="group")
    assert (method.samplings, method.sampling, method.drawn_together) == ((), None, 1)
    with pytest.raises(ValueError, match="DCGAN draws in one way only: leave out sampling=batch_statistics"):
        method.use_sampling("batch_statistics")
    for normalization in ("group", "none"):
        with pytest.raises(ValueError, match=f"no effect on a generator without batch norm.*is {normalization}: leave"):
            dcgan(sample_statistics="batch", normalization=normalization)
    with pytest.raises(ValueError, match="unknown sample_statistics 'both': choose one of running, batch"):
        dcgan(sample_statistics="both")
