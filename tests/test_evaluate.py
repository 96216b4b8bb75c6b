"""evaluate.py as a program: several ranks, saved statistics, comparisons, classifiers as judges, bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from datamodules.digits import Digits
from metrics.protocols import check_comparable
from tests.conftest import ROOT

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from launch.compose import compose
    from tests.conftest import SMALL_RUN
    from train import train

    folder = tmp_path_factory.mktemp("trained") / "run"
    train(compose("train", [*SMALL_RUN, "max_kimg=0.064", f"run_dir={folder}"]))
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from launch.compose import compose
    from tests.conftest import SMALL_RUN
    from train import train

    folder = tmp_path_factory.mktemp("classifier") / "run"
    train(compose("train", [*SMALL_RUN, "method=classifier", "max_kimg=1.5", f"run_dir={folder}"]))
    return folder / "checkpoints" / "last.ckpt"


def last_record(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def evaluated(*arguments: str) -> dict:
    """evaluate.py in this process."""
    from evaluate import evaluate
    from launch.compose import compose

    return evaluate(compose("evaluate", list(arguments)))


@pytest.mark.parametrize("format", ["png", "npz", "zip"])
def test_samples_in_files_have_the_value_of_the_checkpoint(run: Path, tmp_path: Path, format: str) -> None:
    from generate import generate
    from launch.compose import compose

    at = f"checkpoint={run}/checkpoints/last.ckpt"
    asked = ["metrics=[fd,precision,recall,accuracy]", "reference=digits"]
    drawn = evaluated(at, "seed=5", "num_images=300", *asked)
    written = generate(
        compose(
            "generate", [at, "task=samples", "seed=5", "output=out", "+options.count=300", f"+options.format={format}"]
        )
    )
    read = evaluated(f"images={written[0]}", *asked)
    assert read["metrics"] == pytest.approx(drawn["metrics"], rel=1e-9)
    assert json.loads((tmp_path / "out" / "samples.json").read_text())["files"] == [Path(written[0]).name]


def start_two_ranks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )


def on_two_ranks(*arguments: str) -> None:
    done = start_two_ranks(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.soak
def test_two_ranks_give_what_one_gives(run: Path, tmp_path: Path) -> None:
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    script = "tests.support.metrics_on_ranks"
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    done = subprocess.run(
        [sys.executable, "-m", script, checkpoint, str(tmp_path / "one")],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    on_two_ranks("-m", script, checkpoint, str(tmp_path / "two"))
    alone = json.loads((tmp_path / "one" / "0_of_1.json").read_text())
    ranks = [json.loads((tmp_path / "two" / f"{rank}_of_2.json").read_text()) for rank in range(2)]
    for metrics in ("all", "fd"):
        assert ranks[0]["values"][metrics] == ranks[1]["values"][metrics], "every rank knows the result"
        assert alone["values"][metrics].keys() == ranks[0]["values"][metrics].keys()
        for name, value in alone["values"][metrics].items():
            assert ranks[0]["values"][metrics][name] == pytest.approx(value, rel=1e-6), name
    assert alone["values"]["fd"]["fd"] > 0.01
    # Every sample on one rank, and none twice; each is the one that a single rank draws.
    assert sorted(ranks[0]["numbers"] + ranks[1]["numbers"]) == list(range(101))
    assert min(len(rank["numbers"]) for rank in ranks) > 40
    assert ranks[0]["images"] | ranks[1]["images"] == alone["images"]
    assert ranks[0]["images"]["0"] != ranks[1]["images"]["8"], "ranks draw different latents"
    assert len(list((tmp_path / "two" / "cache").iterdir())) == 1


@pytest.mark.soak  # four starts of the program; the test above holds its numbers
def test_the_program_on_two_ranks(program: Program, run: Path, tmp_path: Path) -> None:
    settings = [f"checkpoint={run}/checkpoints/last.ckpt", "num_images=101", "batch_size=16"]
    alone = last_record(program("evaluate.py", *settings, f"output={tmp_path / 'one.jsonl'}"))
    on_two_ranks(str(ROOT / "evaluate.py"), *settings, f"output={tmp_path / 'two.jsonl'}")
    (line,) = (tmp_path / "two.jsonl").read_text().splitlines()
    both = json.loads(line)
    assert both["metrics"] == pytest.approx(alone["metrics"], rel=1e-6)
    assert both["protocol"] == alone["protocol"]
    # The two results may stand side by side; one of another protocol may not.
    compared = program("evaluate.py", f"compare=[{tmp_path / 'one.jsonl'},{tmp_path / 'two.jsonl'}]")
    assert compared.returncode == 0, compared.stderr
    assert "| fd | " in compared.stdout
    last_record(program("evaluate.py", *settings, "split=test", f"output={tmp_path / 'test.jsonl'}"))
    refused = program("evaluate.py", f"compare=[{tmp_path / 'one.jsonl'},{tmp_path / 'test.jsonl'}]")
    assert refused.returncode == 2
    assert "reference: 'digits:all' against 'digits:test'" in refused.stderr


def save_digits(folder: Path, part: slice) -> None:
    folder.mkdir()
    for i, image in enumerate(load_digits().images[part]):
        Image.fromarray((image * 255 / 16).round().astype("uint8")).save(folder / f"{i:04d}.png")


def test_saved_statistics_as_reference(tmp_path: Path) -> None:
    save_digits(tmp_path / "a", slice(0, 300))
    asked = "metrics=[fd,kid,precision]"
    evaluated("images=digits", "split=train", "save_statistics=digits.npz", asked)
    with_images = evaluated("images=a", "reference=digits:train", asked)
    with_file = evaluated("images=a", "reference=digits.npz", asked)
    assert with_file["metrics"] == pytest.approx(with_images["metrics"], rel=1e-9)
    assert (with_file["num_images"], with_file["num_reference"]) == (300, 1438)
    with pytest.raises(
        ValueError, match="were made with extractor 'pixels', and the images are measured with 'efficien"
    ):
        evaluated("images=a", "reference=digits.npz", "extractor=efficientnet_lite0", asked, "num_images=4")
    check_comparable([with_file, with_images], ["with the file", "with the images"])
    images = np.stack(load_digits().images[:300] * 255 / 16).round().astype("uint8")
    np.savez(tmp_path / "samples.npz", images[..., None])
    assert evaluated("images=samples.npz", "reference=digits:train", asked)["metrics"] == with_images["metrics"]
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 3, "saved statistics are no result"


def results_of(checkpoint: Path) -> list[str]:
    return (checkpoint.parent.parent / "results.jsonl").read_text().splitlines()


def test_a_classifier_judges_and_extracts(run: Path, classifier: Path) -> None:
    record = evaluated(
        f"checkpoint={run}/checkpoints/last.ckpt", f"extractor=classifier:{classifier}", "num_images=200",
        f"judge=classifier:{classifier}", "metrics=[fd,is,precision,accuracy,tstr_accuracy]",
    )  # fmt: skip
    assert record["extractor_accuracy"] == record["metrics"]["judge_accuracy"] > 0.5
    assert record["protocol"]["extractor"].startswith("classifier_")
    assert record["protocol"]["judge"].startswith("classifier of hash")
    assert record["metrics"]["accuracy"] < 0.6, "samples of a generator that has hardly trained"
    assert any(name.startswith("fd_classifier_") for name in record["names"])
    # The classifier itself: as its test stage found it.
    again, before = evaluated(f"checkpoint={classifier}"), json.loads(results_of(classifier)[0])
    assert again["metrics"] == pytest.approx(before["metrics"], rel=1e-6)
    assert again["protocol"] == before["protocol"]
    assert len(results_of(classifier)) == 2
    # Real training images under their own labels: the student learns the digits as the judge did.
    real = evaluated(
        "images=digits:train", "reference=digits:test", f"judge=classifier:{classifier}",
        "metrics=[accuracy,tstr_accuracy]",
    )  # fmt: skip
    assert real["metrics"]["tstr_accuracy"] == pytest.approx(real["metrics"]["judge_accuracy"], abs=0.1)
    with pytest.raises(ValueError, match="holds a PolyINR, which is no classifier"):
        evaluated("images=digits", "reference=digits", f"extractor=classifier:{run}/checkpoints/last.ckpt")


@pytest.mark.parametrize("kind", ["pixels", "classifier"])
def test_judges_are_tested_on_images_that_they_never_saw(
    kind: str, run: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test images under wrong labels: a judge that knows the digits is right about hardly any."""
    load = Digits.load

    def wrong_in_test(self: Digits, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = load(self, split)
        return images, (labels + 1) % 10 if split == "test" else labels

    monkeypatch.setattr(Digits, "load", wrong_in_test)
    judge = "pixels" if kind == "pixels" else f"classifier:{classifier}"
    asked = ["metrics=[accuracy]", f"judge={judge}", f"extractor={judge}", "num_images=50"]
    for sets in ([f"checkpoint={run}/checkpoints/last.ckpt"], ["images=digits:train", "reference=digits:train"]):
        record = evaluated(*sets, *asked)
        assert record["metrics"]["judge_accuracy"] < 0.3
        assert record.get("extractor_accuracy", 0.0) < 0.3
    assert record["metrics"]["accuracy"] > 0.5, "right about the training images, whose labels are true"


def test_a_judge_that_the_generator_was_trained_against(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from launch.compose import compose, plain
    from launch.evaluate.capabilities import measure_checkpoint
    from launch.evaluate.requests import request_of

    monkeypatch.setattr("lightning_modules.poly_inr.module.looked_through", lambda critic: ("pixels",))
    asked = [f"checkpoint={run}/checkpoints/last.ckpt", "metrics=[fd]", "num_images=50"]
    with pytest.raises(
        ValueError, match=r"trained against pixels, which is therefore no judge.*allow_trained_judge=true"
    ):
        measure_checkpoint(request_of(plain(compose("evaluate", asked))))
    (marked,), _ = measure_checkpoint(request_of(plain(compose("evaluate", [*asked, "allow_trained_judge=true"]))))
    assert marked["protocol"]["trained_against_judge"] is True
    assert marked["names"] == ["fd_pixels_50_trained_judge"]


def test_a_checkpoint_against_other_references_and_a_picture(run: Path, tmp_path: Path) -> None:
    at = f"checkpoint={run}/checkpoints/last.ckpt"
    evaluated("images=digits", "split=test", "save_statistics=test.npz", "metrics=[fd]")
    own = evaluated(at, "metrics=[fd]", "split=test", "num_images=100")
    for reference in ("digits:test", "test.npz"):
        other = evaluated(at, "metrics=[fd]", f"reference={reference}", "num_images=100")
        assert other["metrics"] == pytest.approx(own["metrics"], rel=1e-9)
        assert other["protocol"]["reference_hash"] == own["protocol"]["reference_hash"]
    evaluated(at, "metrics=[fd]", "num_images=100", "show_nearest=6")
    with Image.open(run / "nearest.png") as picture:
        assert picture.size == (6 * 66 + 2, 4 * 66 + 2)
    with pytest.raises(ValueError, match="psnr compare images with their originals, and fresh samples have none"):
        evaluated(at, "metrics=[psnr]")
    with pytest.raises(ValueError, match="digits:all has 1797 images: 9999 of them cannot be chosen"):
        evaluated(at, "metrics=[fd]", "num_reference=9999")


def test_classes_follow_the_data_unless_they_are_to_be_balanced(run: Path, tmp_path: Path) -> None:
    at = f"checkpoint={run}/checkpoints/last.ckpt"
    published = json.loads(results_of(run / "checkpoints" / "last.ckpt")[0])
    assert published["protocol"]["labels"] == "data", "the test stage of train.py"
    followed = evaluated(at, "metrics=[fd,precision,recall]", "output=data.jsonl")
    assert (followed["metrics"], followed["protocol"]["labels"]) == (published["metrics"], "data")
    balanced = evaluated(at, "metrics=[fd]", "labels=balanced", "output=balanced.jsonl")
    assert balanced["metrics"]["fd"] != followed["metrics"]["fd"]
    with pytest.raises(ValueError, match="labels: 'data' against 'balanced'"):
        evaluated("compare=[data.jsonl,balanced.jsonl]")
    # As results were written before: without the key.
    del balanced["protocol"]["labels"]
    (tmp_path / "old.jsonl").write_text(json.dumps(balanced) + "\n")
    assert len(evaluated("compare=[old.jsonl,balanced.jsonl]")["results"]) == 2
    with pytest.raises(
        ValueError, match=r"labels: 'balanced' against 'data'.*measure both with evaluate.py labels=bal"
    ):
        evaluated("compare=[old.jsonl,data.jsonl]")


def test_a_model_without_classes_has_no_labels_to_choose(small_run: Callable[..., tuple[Path, dict]]) -> None:
    folder, _ = small_run("max_kimg=0.016", "method.conditional=false", "callbacks.metrics.metrics=[fd]")
    (published,) = results_of(folder / "checkpoints" / "last.ckpt")
    assert json.loads(published)["protocol"]["labels"] == "none"
    with pytest.raises(ValueError, match="labels= has no effect on a model without classes: leave it out"):
        evaluated(f"checkpoint={folder}/checkpoints/last.ckpt", "labels=balanced", "metrics=[fd]")


@pytest.mark.soak
def test_where_one_rank_fails_all_end(tmp_path: Path) -> None:
    save_digits(tmp_path / "a", slice(0, 40))
    content = (tmp_path / "a" / "0020.png").read_bytes()
    (tmp_path / "a" / "0020.png").write_bytes(content[: len(content) // 2])
    done = start_two_ranks(str(ROOT / "evaluate.py"), "images=a", "reference=digits", "metrics=[fd]", "batch_size=16")
    assert done.returncode != 0
    assert "0020.png is not a readable image" in done.stderr
    assert "error: another rank failed with its part of a" in done.stderr
    assert not (tmp_path / "results.jsonl").exists()


def test_ten_images_are_enough_for_a_number_with_its_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_digits(tmp_path / "ten", slice(0, 10))
    record = evaluated("images=ten", "reference=digits", "metrics=[fd,kid,precision,recall]")
    assert record["metrics"]["kid_error"] > 0
    assert "note: fd of 10 images in 64 features is too large by its bias" in capsys.readouterr().err
    assert record["note"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images=a", "reference=mixed"], "a is grey and mixed in colour: bring them to one number of channels first"),
        (["images=a", "reference=broken"], "short.jpg is not a readable image: image file is truncated"),
        (["images=one", "reference=a"], "an evaluation needs at least 2 images on each side: one has 1"),
        (["images=nan.npy", "reference=a"], "nan.npy holds float64 values from nan to nan: give uint8 levels"),
        (["images=range.npy", "reference=a"], "range.npy holds int64 values from -3 to 300: give uint8 levels"),
        (["images=a", "reference=b", "metrics=[fid]"], "unknown metric 'fid' (did you mean 'fd'?)"),
        (["images=a", "reference=a", "extractor=efficientnet"], "there is no extractor 'efficientnet'; did you mean"),
        (["images=a", "reference=a", "judge=classifier:nowhere", "metrics=accuracy"], "there is no checkpoint nowhere"),
        (["images=a", "reference=a", "metrics=accuracy"], "accuracy need a judge: give a data module"),
        (["images=a", "reference=a", "metrics=sfd"], "pixels has no spatial: it gives features"),
        (["images=classes", "reference=digits", "metrics=accuracy"], "classes has 2 classes and the judge knows 10: folders"),
        (["images=a", "reference=mixed_names", "metrics=psnr"], "0000.png of a would be compared with x.png of mixed_names"),
        (["images=a", "reference=a", "metrics=psnr", "num_images=4"], "metrics of pairs take both sets whole"),
        (["images=a", "reference=a", "seed=3"], "seed= has no effect on a set of images"),
        (["images=a", "reference=a", "labels=balanced"], "labels= has no effect on a set of images"),
        (["images=a", "save_statistics=b.npz", "reference=a"], "reference= has no effect on saving statistics"),
        (["images=a", "save_statistics=folder"], "save_statistics must be the name of an .npz file, got folder"),
        (["images=a", "reference=a", "metrics=[]"], "metrics=[] asks for nothing"),
        (["images=a", "reference=a", "judge=classifier:x"], "judge= has no effect on metrics="),
        (["compare=a.jsonl"], "takes at least two files of results"),
        (["images=a", "metrics=fd"], "say what to compare with: reference="),
        (["images=a", "reference=digit"], "'digit' is neither a file, a folder nor a data module; did you mean 'digits'?"),
        (["images=a", "reference=a", "device=cuda:9"], "device 'cuda:9' is not to be had here"),
        (["images=a", "reference=a", "protocol=fid_5k"], "there is no protocol 'fid_5k'; did you mean 'fid_50k'?"),
        (["images=a", "reference=a", "extractor=dinov2"], "dinov2 needs its weights"),
        (["images=a", "checkpoint=b"], "give one of checkpoint=<file>, images="),
        (["compare=[none.jsonl,other.jsonl]"], "there is no file of results none.jsonl"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: each would take seconds to start otherwise; the exit code is that of one_line_errors."""
    from evaluate import evaluate
    from launch.compose import check_overrides, compose
    from launch.errors import one_line_errors

    save_digits(tmp_path / "a", slice(0, 12))
    for name in ("mixed", "broken"):
        shutil.copytree(tmp_path / "a", tmp_path / name)
    Image.new("RGB", (8, 8)).save(tmp_path / "mixed" / "colour.png")
    Image.effect_noise((8, 8), 90).save(tmp_path / "whole.jpg")
    (tmp_path / "broken" / "short.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-20])
    save_digits(tmp_path / "one", slice(0, 1))
    shutil.copytree(tmp_path / "one", tmp_path / "mixed_names")
    (tmp_path / "mixed_names" / "0000.png").rename(tmp_path / "mixed_names" / "x.png")
    for name in ("three", "seven"):
        shutil.copytree(tmp_path / "a", tmp_path / "classes" / name)
    np.save(tmp_path / "nan.npy", np.full((3, 8, 8), np.nan))
    np.save(tmp_path / "range.npy", np.stack([np.full((8, 8), -3), np.full((8, 8), 300)]))

    def program() -> None:
        with one_line_errors():
            check_overrides("evaluate", arguments)
            evaluate(compose("evaluate", arguments))

    with pytest.raises(SystemExit) as stopped:
        program()
    assert stopped.value.code == 2
    *notes, line = capsys.readouterr().err.strip().splitlines()
    assert all(note.startswith("note: ") for note in notes), "how the images were taken"
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "results.jsonl").exists()
