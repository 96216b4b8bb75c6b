"""What every data module must do."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from datamodules.base import ImageDataModule
from datamodules.batches import Augmentation, Batch, TrainingStream
from datamodules.imagenet import imagenet_indices
from generative.rendering.images import from_uint8, to_uint8
from generative.rendering.masks import NO_CLASS
from generative.schedules import Steps
from launch.compose import CONFIGS, compose, group_options, plain
from tests.support.layouts import WNIDS, write_all

DATAMODULES = group_options("datamodule")
TRAINABLE = [
    name for name in DATAMODULES
    if "train" in hydra.utils.get_class(OmegaConf.load(CONFIGS / f"datamodule/{name}.yaml")["_target_"]).splits
]  # fmt: skip
MADE_UP_CLASSES = {"imagenet_c": len(WNIDS)}  # where a thousand of 224 x 224 pixels would take long
SMALLER = {  # than published, for made-up images
    "voc2012": ["datamodule.resolution=48", "datamodule.crop_size=32"],
    "cityscapes": ["datamodule.resolution=40", "datamodule.crop_size=32"],
    "image_masks": ["datamodule.resolution=48", "datamodule.crop_size=32"],
    "deeppcb": ["datamodule.resolution=32"],
    "defect_crops": ["datamodule.source.resolution=32", "datamodule.size=16"],
    "defect_patches": ["datamodule.source.resolution=32", "datamodule.size=8"],
    "inspection": ["datamodule.resolution=48"],
    "refinement_pairs": [
        "datamodule.data_dir=${oc.env:POLYMORPH_DATA}/boards",
        "datamodule.size=64",
        "datamodule.num_real=2",
        "datamodule.num_test=1",
    ],
    "rendered_inspection": ["datamodule.resolution=64", "datamodule.share=0.03"],
}
SEGMENTED = ["voc2012", "cityscapes", "image_masks"]


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small made-up sets in the published layouts."""
    root = tmp_path_factory.mktemp("data")
    write_all(root)
    return root


@pytest.fixture(autouse=True)
def _made_up_data_and_no_network(layouts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"a data module went to the network: {args}")

    def refuse_unless_local(self: socket.socket, *args: object) -> None:
        """Loading processes hand their batches over through sockets of this machine."""
        if self.family != socket.AF_UNIX:
            refuse(*args)
        connect(self, *args)  # type: ignore[arg-type]

    monkeypatch.setenv("POLYMORPH_DATA", str(layouts))
    monkeypatch.setattr(socket.socket, "connect", refuse_unless_local)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def make(name: str, *, batch_size: int = 12, seed: int = 0, num_workers: int = 0) -> ImageDataModule:
    overrides = [f"datamodule={name}", f"datamodule.batch_size={batch_size}", *SMALLER.get(name, [])]
    config = plain(compose("train", ["experiment=none", *overrides]))
    constructor = hydra.utils.instantiate(config["datamodule"], _partial_=True, _convert_="all")
    return constructor(seed=seed, num_workers=num_workers)


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
    batch = batches(datamodule, 1, split=datamodule.splits[0])[0]
    assert batch["image"].shape == (12, *datamodule.image_shape)
    assert batch["image"].dtype == torch.float32
    assert -1 <= batch["image"].min() < batch["image"].max() <= 1
    assert batch["label"].dtype == torch.int64
    assert 0 <= batch["label"].min() <= batch["label"].max() < max(datamodule.num_classes, 1)
    assert batch["first_number"] == 0


@pytest.mark.parametrize("name", DATAMODULES)
def test_targets_belong_to_the_images(name: str) -> None:
    datamodule = make(name)
    for split in datamodule.splits:
        batch = batches(datamodule, 1, split=split)[0]
        targets = datamodule.targets(split)
        assert batch.keys() == {"image", "label", "index", "first_number", *targets}
        assert bool({"mask", "boxes"} & targets.keys()) == bool(datamodule.target_classes)
        for target, rows in targets.items():
            assert len(rows) == len(datamodule.split(split)[0])
            assert len(batch[target]) == len(batch["image"])
        if "mask" in batch:
            classes = len(datamodule.target_classes) + ("boxes" in batch)  # beside those of boxes, what is no defect
            check_mask(batch, num_classes=classes)
        if "boxes" in batch:
            check_boxes(batch, num_classes=len(datamodule.target_classes))


@pytest.mark.parametrize("name", DATAMODULES)
def test_index_is_the_number_of_each_image_in_its_split(name: str) -> None:
    """For a method that keeps something for each image: the row of the split, and of its targets, that a batch shows."""
    datamodule = make(name)
    datamodule.augmentation = shown_as_they_are
    for split in datamodule.splits:
        rows = {"image": datamodule.split(split)[0], "label": datamodule.split(split)[1], **datamodule.targets(split)}
        for batch in batches(datamodule, 3, images_seen=24 if split == "train" else 0, split=split):
            index = batch["index"]
            assert index.dtype == torch.int64
            assert len(index) == len(batch["image"])
            for row, values in rows.items():
                expected = values[index]
                is_picture = expected.ndim == 4 and expected.dtype == torch.uint8
                assert torch.equal(batch[row], from_uint8(expected) if is_picture else expected), row


def shown_as_they_are(rows: dict[str, torch.Tensor], first_number: int) -> dict[str, torch.Tensor]:
    return rows


@pytest.mark.parametrize("name", TRAINABLE)
def test_augmentation_leaves_the_index_alone(name: str) -> None:
    """What is kept for an image is kept for the image, however it is shown."""
    plainly, augmented = make(name), make(name)
    plainly.augmentation = shown_as_they_are
    if isinstance(augmented.augmentation, Augmentation):  # else a set's own crops, at a scale of their own
        augmented.augmentation = Augmentation(0, flip=True, crop_padding=2)
    for one, other in zip(batches(plainly, 2), batches(augmented, 2), strict=True):
        assert one["image"].shape != other["image"].shape or not torch.equal(one["image"], other["image"])
        assert torch.equal(one["index"], other["index"])


def check_mask(batch: Batch, *, num_classes: int) -> None:
    assert batch["mask"].dtype == torch.uint8
    assert batch["mask"].shape == (len(batch["image"]), *batch["image"].shape[2:])
    counted = batch["mask"][batch["mask"] != NO_CLASS]
    assert 0 < counted.unique().numel() <= int(counted.max()) + 1 <= num_classes


def check_boxes(batch: Batch, *, num_classes: int) -> None:
    there = batch["box_label"] >= 0
    assert there.any()
    assert batch["box_label"].max() < num_classes
    boxes, (height, width) = batch["boxes"][there], batch["image"].shape[2:]
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert boxes.min() >= 0
    assert (boxes.amax(dim=0)[2:] <= torch.tensor([width, height])).all()


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", SEGMENTED)
def test_image_and_mask_move_together(name: str, split: str) -> None:
    """The red of a made-up pixel says its class: everywhere in a test image, in training but for blended borders."""
    for batch in batches(make(name), 2, split=split):
        red = to_uint8(batch["image"][:, 0])
        counts = batch["mask"] != NO_CLASS
        agreed = (red[counts] // 12 == batch["mask"][counts]).float().mean()
        assert agreed == 1 if split == "test" else agreed > 0.75


@pytest.mark.parametrize("name", DATAMODULES)
def test_every_class_is_in_every_split(name: str) -> None:
    datamodule = make(name)
    for split in datamodule.splits:
        assert len(datamodule.split(split)[1].unique()) == MADE_UP_CLASSES.get(name, max(datamodule.num_classes, 1))


@pytest.mark.parametrize("name", DATAMODULES)
def test_no_image_is_in_two_splits(name: str) -> None:
    datamodule = make(name)
    seen = [{image.numpy().tobytes() for image in datamodule.split(split)[0][:]} for split in datamodule.splits]
    assert all(seen)
    assert sum(len(part) for part in seen) == len(set().union(*seen))


# The last ones name the folder of their source.
NEED_NO_FOLDER = ("digit", "rendered", "defect_patches", "defect_crops", "refinement_pairs")


@pytest.mark.parametrize("name", [name for name in DATAMODULES if not name.startswith(NEED_NO_FOLDER)])
def test_a_set_that_is_not_there_says_where_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYMORPH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=rf"is not in {tmp_path / name}: .*(SOURCE|put|unpack)"):
        make(name).split("test")


@pytest.mark.parametrize("name", [name for name in DATAMODULES if name not in TRAINABLE])
def test_a_set_for_tests_refuses_training(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}\w* is a set to test on only: train on another one"):
        batches(make(name), 1)


@pytest.mark.parametrize("name", DATAMODULES)
def test_all_is_every_split(name: str) -> None:
    datamodule = make(name)
    images, labels = datamodule.split("all")
    assert len(images) == len(labels) == sum(len(datamodule.split(split)[1]) for split in datamodule.splits)


@pytest.mark.parametrize("name", TRAINABLE)
def test_order_is_a_function_of_the_seed(name: str) -> None:
    first, same, other = (torch.stack([b["image"] for b in batches(make(name, seed=seed), 3)]) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", TRAINABLE)
def test_ranks_share_the_batch_and_resume_restores_the_place(name: str) -> None:
    whole = batches(make(name), 4)
    parts = [batches(make(name), 4, rank=rank, world_size=2) for rank in range(2)]
    for i, batch in enumerate(whole):
        assert torch.equal(batch["image"], torch.cat([part[i]["image"] for part in parts]))
        assert torch.equal(batch["index"], torch.cat([part[i]["index"] for part in parts]))
        assert [part[i]["first_number"] for part in parts] == [12 * i, 12 * i + 6]
    resumed = batches(make(name), 2, images_seen=24)
    for key in ("image", "index"):
        assert all(torch.equal(a[key], b[key]) for a, b in zip(whole[2:], resumed, strict=True))


@pytest.mark.parametrize("name", DATAMODULES)
def test_loading_processes_change_nothing(name: str) -> None:
    for split in make(name).splits:
        seen = 24 if split == "train" else 0
        alone = batches(make(name), 5, images_seen=seen, split=split)
        shared = batches(make(name, num_workers=2), 5, images_seen=seen, split=split)
        assert len(alone) == len(shared) > 0
        for one, other in zip(alone, shared, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in one)


@pytest.mark.parametrize("name", DATAMODULES)
def test_evaluation_shows_every_image_once_over_all_ranks(name: str) -> None:
    datamodule = make(name)
    images, labels = datamodule.split("test")
    shown = [b for rank in range(2) for b in batches(make(name), 10**6, rank=rank, world_size=2, split="test")]
    assert sum(len(b["image"]) for b in shown) == len(images)
    order = torch.cat([b["index"] for b in shown])
    assert torch.equal(order.sort().values, torch.arange(len(images)))
    assert torch.equal(torch.cat([b["label"] for b in shown]), labels[order])


def constant(size: int) -> Steps:
    return Steps([[0, size]], name="batch_sizes")


def test_batches_grow_where_the_run_says_and_show_the_same_images() -> None:
    """On any ranks, by any number of loading processes, and resumed in the middle: number k shows what it always shows."""
    sizes = Steps([[0, 4], [0.01, 8], [0.025, 2]], name="batch_sizes")
    rows = {"image": torch.arange(10.0).view(10, 1, 1, 1)}

    def shown(first: int, count: int, **place: int) -> list[tuple[int, list[float]]]:
        place = {"rank": 0, "world_size": 1} | place
        stream = TrainingStream(rows, batch_sizes=sizes, seed=0, first_number=lambda: first, **place)
        return [(b["first_number"], b["image"].flatten().tolist()) for b in itertools.islice(iter(stream), count)]

    whole = shown(0, 7)
    assert [(first, len(images)) for first, images in whole] == [
        (0, 4),
        (4, 4),
        (8, 4),
        (12, 8),
        (20, 8),
        (28, 2),
        (30, 2),
    ]
    plain = TrainingStream(rows, batch_sizes=constant(1), seed=0, rank=0, world_size=1, first_number=lambda: 0)
    numbers = [float(batch["image"]) for batch in itertools.islice(iter(plain), 32)]
    assert [image for _, images in whole for image in images] == numbers
    assert shown(12, 4) == whole[3:]
    halves = [shown(0, 7, rank=rank, world_size=2) for rank in range(2)]
    assert [first + second for (_, first), (_, second) in zip(*halves, strict=True)] == [images for _, images in whole]
    with pytest.raises(ValueError, match="2 cannot be shared by 4 ranks"):
        shown(0, 1, world_size=4)


def test_loading_processes_share_batches_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Steps([[0, 4], [0.01, 8]], name="batch_sizes")
    rows = {"image": torch.arange(10.0).view(10, 1, 1, 1)}

    def of_worker(worker: int, num_workers: int) -> list[int]:
        monkeypatch.setattr("datamodules.batches.worker_and_count", lambda: (worker, num_workers))
        stream = TrainingStream(rows, batch_sizes=sizes, seed=0, rank=0, world_size=1, first_number=lambda: 0)
        return [batch["first_number"] for batch in itertools.islice(iter(stream), 3)]

    assert of_worker(0, 2) == [0, 8, 20]
    assert of_worker(1, 2) == [4, 12, 28]


def test_an_epoch_shows_every_image_once_also_across_batches() -> None:
    rows = {"image": torch.arange(10.0).view(10, 1, 1, 1)}
    stream = TrainingStream(rows, batch_sizes=constant(4), seed=0, rank=0, world_size=1, first_number=lambda: 0)
    shown = torch.cat([batch["image"].flatten() for batch in itertools.islice(iter(stream), 5)])
    for epoch in (shown[:10], shown[10:20]):
        assert torch.equal(epoch.sort().values, torch.arange(10.0))
    assert not torch.equal(shown[:10], shown[10:20]), "each epoch has an order of its own"


def test_a_batch_that_ranks_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="5 cannot be shared by 2 ranks"):
        batches(make("digits", batch_size=5), 1, world_size=2)


def test_augmentation_is_a_function_of_the_number_in_the_run() -> None:
    """Two ranks show what one shows, and a resumed run goes on with the same pixels, also in the middle of an epoch."""

    def shown(**place: int) -> list[torch.Tensor]:
        datamodule = make("cifar10")
        datamodule.augmentation = Augmentation(0, flip=True, crop_padding=4)
        return [batch["image"] for batch in batches(datamodule, 4, **place)]

    whole, plain_batches = shown(), [batch["image"] for batch in batches(make("cifar10"), 4)]
    assert not any(torch.equal(a, b) for a, b in zip(whole, plain_batches, strict=True))
    parts = [shown(rank=rank, world_size=2) for rank in range(2)]
    assert all(torch.equal(image, torch.cat([part[i] for part in parts])) for i, image in enumerate(whole))
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], shown(images_seen=24), strict=False))


def test_fewer_images_than_the_batch_are_shown_again() -> None:
    rows = {"image": torch.arange(5.0).view(5, 1, 1, 1)}
    stream = TrainingStream(rows, batch_sizes=constant(12), seed=0, rank=0, world_size=1, first_number=lambda: 0)
    (first, second) = [batch["image"].flatten() for batch in itertools.islice(iter(stream), 2)]
    assert torch.equal(torch.cat([first, second])[:20].view(4, 5).sort(dim=1).values, torch.arange(5.0).repeat(4, 1))


def test_resolutions_of_the_chapters() -> None:
    """28 within a black border of 32; means over blocks at 16 and 8 come from preparing."""
    config = plain(compose("train", ["experiment=none", "datamodule=mnist", "datamodule.resolution=32"]))
    padded = hydra.utils.instantiate(config["datamodule"], _partial_=True, _convert_="all")(seed=0).split("train")[0]
    assert padded.shape[1:] == (1, 32, 32)
    assert torch.equal(padded[:, :, 2:30, 2:30], make("mnist").split("train")[0])
    assert int(padded.sum()) == int(make("mnist").split("train")[0].sum())


def test_imagenet_folders_are_wnids() -> None:
    assert imagenet_indices(["n01443537", "n15075141", "n01440764"]).tolist() == [1, 999, 0]
    with pytest.raises(ValueError, match="class folders of ImageNet are wnids such as n01440764, not cats"):
        imagenet_indices(["n01443537", "cats"])
