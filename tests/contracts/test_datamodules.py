"""What every data module must do."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import hydra
import pytest
import torch

from datamodules.base import Batch, ImageDataModule, TrainingStream
from launch.compose import compose, group_options, plain

DATAMODULES = group_options("datamodule")


def make(name: str, *, batch_size: int = 12, seed: int = 0) -> ImageDataModule:
    config = plain(compose("train", ["experiment=none", f"datamodule={name}", f"datamodule.batch_size={batch_size}"]))
    return hydra.utils.instantiate(config["datamodule"], _partial_=True, _convert_="all")(seed=seed)


def batches(
    datamodule: ImageDataModule,
    count: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    images_seen: int = 0,
    split: str = "train",
) -> list[Batch]:
    datamodule.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=rank, world_size=world_size, lightning_module=SimpleNamespace(images_seen=images_seen)
    )
    datamodule.setup("fit" if split == "train" else "test")
    loader = datamodule.train_dataloader() if split == "train" else datamodule.test_dataloader()
    return list(itertools.islice(iter(loader), count))


@pytest.mark.parametrize("name", DATAMODULES)
def test_batches(name: str) -> None:
    datamodule = make(name)
    batch = batches(datamodule, 1)[0]
    assert batch["image"].shape == (12, *datamodule.image_shape)
    assert batch["image"].dtype == torch.float32
    assert -1 <= batch["image"].min() < batch["image"].max() <= 1
    assert batch["label"].dtype == torch.int64
    assert 0 <= batch["label"].min() <= batch["label"].max() < max(datamodule.num_classes, 1)
    assert batch["first_number"] == 0


@pytest.mark.parametrize("name", DATAMODULES)
def test_every_class_is_in_every_split(name: str) -> None:
    datamodule = make(name)
    for split in datamodule.splits:
        assert len(datamodule.split(split)[1].unique()) == max(datamodule.num_classes, 1)


@pytest.mark.parametrize("name", DATAMODULES)
def test_order_is_a_function_of_the_seed(name: str) -> None:
    first, same, other = (torch.stack([b["image"] for b in batches(make(name, seed=seed), 3)]) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", DATAMODULES)
def test_ranks_share_the_batch_and_resume_restores_the_place(name: str) -> None:
    whole = batches(make(name), 4)
    parts = [batches(make(name), 4, rank=rank, world_size=2) for rank in range(2)]
    for i, batch in enumerate(whole):
        assert torch.equal(batch["image"], torch.cat([part[i]["image"] for part in parts]))
        assert [part[i]["first_number"] for part in parts] == [12 * i, 12 * i + 6]
    resumed = batches(make(name), 2, images_seen=24)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(whole[2:], resumed, strict=True))


@pytest.mark.parametrize("name", DATAMODULES)
def test_evaluation_shows_every_image_once_over_all_ranks(name: str) -> None:
    datamodule = make(name)
    images, labels = datamodule.split("test")
    shown = [b for rank in range(2) for b in batches(make(name), 10**6, rank=rank, world_size=2, split="test")]
    assert sum(len(b["image"]) for b in shown) == len(images)
    assert torch.equal(torch.cat([b["label"] for b in shown]).sort().values, labels.sort().values)


def test_an_epoch_shows_every_image_once_also_across_batches() -> None:
    images = torch.arange(10.0).view(10, 1, 1, 1)
    stream = TrainingStream(images, torch.zeros(10), batch_size=4, seed=0, rank=0, world_size=1, first_number=lambda: 0)
    shown = torch.cat([batch["image"].flatten() for batch in itertools.islice(iter(stream), 5)])
    for epoch in (shown[:10], shown[10:20]):
        assert torch.equal(epoch.sort().values, torch.arange(10.0))
    assert not torch.equal(shown[:10], shown[10:20]), "each epoch has an order of its own"


def test_a_batch_that_ranks_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="5 cannot be shared by 2 ranks"):
        batches(make("digits", batch_size=5), 1, world_size=2)
