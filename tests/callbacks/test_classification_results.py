"""What the test stage of a classifier leaves: one record, metrics in the summary, a run that is finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.checkpoint import load_method, read_checkpoint
from records.results import TEST_STAGE

SMALL = ("method=classifier", "max_kimg=0.064", "save_every_kimg=0.032")


def record_of(folder: Path) -> dict:
    """The only line of the results."""
    (line,) = (folder / "results.jsonl").read_text().splitlines()
    return json.loads(line)


def test_one_record_states_its_protocol(small_run: Callable) -> None:
    folder, metrics = small_run(*SMALL, "seed=3")
    record = record_of(folder)
    assert len(record["protocol"].pop("data_hash")) == 12
    assert record["protocol"] == {
        "task": "classification",
        "data": "digits:test",
        "image_shape": [1, 8, 8],
        "weights": "averaged",
    }
    assert record["num_images"] == 359
    assert record["metrics"].keys() == {"accuracy", "top5_accuracy", "cross_entropy"}
    facts = {key: record[key] for key in ("experiment", "kimg", "budget_kimg", "train_seed", "stage", "checkpoint")}
    assert facts == {
        "experiment": "none/classifier-digits",
        "kimg": 0.064,
        "budget_kimg": 0.064,
        "train_seed": 3,
        "stage": TEST_STAGE,
        "checkpoint": "last.ckpt",
    }
    assert len(record["settings_hash"]) == 12
    assert record["environment"]["torch"]
    assert metrics == {f"metric/{name}": value for name, value in record["metrics"].items()}

    # The checkpoint that the record names gives the number that it states.
    method, datamodule = load_method(folder / "checkpoints" / "last.ckpt")
    images, labels = datamodule.split("test")
    correct = int((method(images).argmax(dim=1) == labels).sum())
    assert record["metrics"]["accuracy"] == pytest.approx(correct / 359)


def test_auto_on_a_finished_classifier_says_so(small_run: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = small_run(*SMALL)
    capsys.readouterr()
    small_run(*SMALL, "resume=auto")
    assert "is finished: it has seen its 0.064 kimg" in capsys.readouterr().out
    record_of(folder)


def test_a_trained_classifier_without_result_is_tested(small_run: Callable) -> None:
    folder, _ = small_run(*SMALL)
    before = record_of(folder)
    (folder / "results.jsonl").unlink()
    small_run(*SMALL, "resume=auto")
    assert record_of(folder)["metrics"] == before["metrics"]


def test_generators_leave_no_such_record(small_run: Callable) -> None:
    folder, metrics = small_run("max_kimg=0.032")
    assert "task" not in record_of(folder)["protocol"]
    assert "metric/accuracy" not in metrics


@pytest.mark.soak
def test_two_ranks_count_every_image_once(program: Callable, tmp_path: Path) -> None:
    """359 images are 180 and 179: the same counts as on one rank, and one record."""
    settings = ("experiment=none", *SMALL, "datamodule.batch_size=16", "num_threads=1", "+datamodule.crop_padding=1")
    records = {}
    for name, trainer in {"one": ["trainer=cpu"], "two": ["trainer=ddp", "trainer.accelerator=cpu"]}.items():
        done = program("train.py", *settings, *trainer, f"run_dir={tmp_path / name}")
        assert done.returncode == 0, done.stderr
        records[name] = record_of(tmp_path / name)
    assert records["two"]["num_images"] == 359
    for metric, value in records["one"]["metrics"].items():
        # Sums in another order, and a logit on the edge may change sides.
        assert records["two"]["metrics"][metric] == pytest.approx(value, abs=0.006), metric
    one, two = (read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"] for name in records)
    for key, value in one.items():
        assert two[key].allclose(value, rtol=1e-3, atol=2e-4), key
    done = program(
        "train.py",
        *settings,
        "trainer=ddp",
        "trainer.accelerator=cpu",
        "method.backbone.normalization=batch",
        f"run_dir={tmp_path / 'batch'}",
    )
    assert done.returncode == 2
    assert "method.backbone.normalization=group" in done.stderr
