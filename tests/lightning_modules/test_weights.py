"""Stages are runs in a chain: what the next one starts from, what is refused, and what never is read."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from generative.averaging import averaged_copy
from launch.checkpoint import AtomicCheckpointIO
from launch.quiet import quiet
from lightning_modules.base import Method
from lightning_modules.weights import Weights, read_weights

SOURCE = "a run of method=lines"
RATE = 0.1


class Lines(Method):
    """A line with an average, a second network without, and a third that only ``third`` runs have."""

    def __init__(self, *, third: bool = False, width: int = 4, **given: Any) -> None:
        super().__init__(image_shape=(1, 2, 2), num_classes=0, seed=0, **given)
        self.line = nn.Linear(width, 1)
        self.averaged_line = averaged_copy(self.line)
        self.other = nn.Linear(4, 2)
        if third:
            self.third = nn.Linear(1, 1)
        self.at_start: dict[str, Tensor] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=RATE)

    def on_train_start(self) -> None:
        self.at_start = {name: value.clone() for name, value in self.state_dict().items()}

    def training_step(self, batch: dict[str, Any], batch_index: int) -> None:
        self.update(self.optimizers(), lambda part: self.error(part["image"].flatten(1)), batch)  # type: ignore[arg-type]
        self.move_average()
        self.count_images(batch["image"])

    def error(self, pixels: Tensor) -> Tensor:
        return self.line(pixels).square().mean() + self.other(pixels).square().mean()


def run(method: Lines, *, resume: Path | None = None, steps: int = 1) -> Lines:
    quiet()
    trainer = Trainer(
        accelerator="cpu", devices=1, max_steps=steps, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, plugins=[AtomicCheckpointIO()],
    )  # fmt: skip
    batch = {"image": torch.rand(8, 1, 2, 2, generator=torch.Generator().manual_seed(1)), "first_number": 0}
    loader = DataLoader([batch] * steps, batch_size=None)  # type: ignore[arg-type]
    trainer.fit(method, loader, ckpt_path=None if resume is None else str(resume), weights_only=True)
    return method


def lines(*, seed: int = 0, **settings: Any) -> Lines:
    torch.manual_seed(seed)
    method = Lines(**settings)
    part = {"_target_": "somewhere.Lines"}
    method.run_config = {
        "method": part, "datamodule": part, "seed": 0, "max_kimg": 1.0, "experiment_name": None,
    }  # fmt: skip
    return method


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a first stage."""
    path = tmp_path_factory.mktemp("first") / "last.ckpt"
    run(lines(half_life_images=8.0, average_ramp_up=0.0)).trainer.save_checkpoint(path)
    return path


def state_in(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_the_next_stage_starts_from_the_averages_and_from_what_has_none(first: Path) -> None:
    learned = state_in(first)
    assert not torch.equal(learned["line.weight"], learned["averaged_line.weight"])
    second = run(lines(seed=5, third=True, weights=str(first)))
    start = second.at_start
    for network in ("line", "averaged_line"):
        assert torch.equal(start[f"{network}.weight"], learned["averaged_line.weight"])
        assert torch.equal(start[f"{network}.bias"], learned["averaged_line.bias"])
    assert torch.equal(start["other.weight"], learned["other.weight"])
    assert torch.equal(start["third.weight"], lines(seed=5, third=True).third.weight), "the new network is its own"
    assert second.images_seen == 8, "its clock is its own"


def test_a_continued_run_reads_no_weights(first: Path, tmp_path: Path) -> None:
    start, last = tmp_path / "start.ckpt", tmp_path / "last.ckpt"
    start.write_bytes(first.read_bytes())
    run(lines(weights=str(start))).trainer.save_checkpoint(last)
    start.unlink()
    continued = run(lines(weights=str(start)), resume=last, steps=2)
    assert torch.equal(continued.at_start["line.weight"], state_in(last)["line.weight"])
    with pytest.raises(
        ValueError, match=r"there are no weights .*start\.ckpt: give the last\.ckpt of another run of this"
    ):
        run(lines(weights=str(start)))


def test_what_does_not_fit_is_named(first: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"does not fit method\.line, it has weight \[1, 4\] for \[1, 3\]: give the line"
    ):
        run(lines(width=3, weights=str(first)))
    torch.save({"state_dict": {"generator.weight": torch.ones(1)}, "config": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt holds none of this method's networks, line, other: give"):
        run(lines(weights=str(tmp_path / "other.ckpt")))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", {}, "holds no weights by their names"),
        ("numbers", {"state_dict": {"line.weight": 1.0}}, "holds no weights by their names"),
        ("nameless", {"state_dict": {0: torch.ones(1)}}, "holds no weights by their names"),
        ("object", {"state_dict": {}, "config": Path("a")}, "holds pickled objects, which could run code: refused"),
        ("date", {"state_dict": {"line.weight": torch.ones(1)}, "config": date(2000, 1, 1)}, "could run code: refused"),
        (
            "pair",
            {"state_dict": {"line.weight": torch.ones(1)}, "config": {"method": (1, 2)}},
            "holds a tuple at method",
        ),
    ],
)
def test_nothing_but_tensors_and_plain_data_is_taken(name: str, content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / name)
    with pytest.raises(ValueError, match=message):
        read_weights(str(tmp_path / name), source=SOURCE)


def test_a_file_that_was_cut_short_is_told(first: Path, tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(first.read_bytes()[:300])
    with pytest.raises(ValueError, match=rf"cut cannot be read .* cut short .*: give the last\.ckpt of {SOURCE}"):
        read_weights(str(tmp_path / "cut"), source=SOURCE)


def test_a_published_state_dict_names_one_network(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1, 4)}, tmp_path / "published.pth")
    read = read_weights(str(tmp_path / "published.pth"), source=SOURCE)
    assert read.settings is None
    assert list(read.state) == ["weight"]
    assert read.of("line") == {}


def test_all_that_differs_is_counted() -> None:
    state = {"weight": torch.ones(1, 4), "more": torch.ones(1), "most": torch.ones(1)}
    with pytest.raises(
        ValueError, match=r"it lacks bias, also has more and 1 more, has weight \[1, 4\] for \[1, 5\]: give"
    ):
        Weights("a.ckpt", {f"line.{name}": value for name, value in state.items()}, {}).load_into(
            {"line": nn.Linear(5, 1)}
        )
