"""The ends of the scale of latent priors: generators before training, and other real images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datamodules.digits import Digits
from docs.ledger import ends as ledger
from docs.ledger import results
from docs.ledger.ends import REAL, UNTRAINED, ends, real, untrained
from docs.ledger.modes import GATE
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.base import Classifies, HasLatents
from metrics.evaluation import Instruments, evaluate
from metrics.features import FromClassifier
from metrics.splits import real_images
from tests.support.dcgans import untrained_dcgan

DATA = Digits(batch_size=8, seed=0)


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "COUNT", 100)
    monkeypatch.setattr(ledger, "NUM_REFERENCE", 1438)


@pytest.fixture(scope="module")
def judge() -> Classifies:
    torch.manual_seed(0)
    method = build(plain(compose("train", ["experiment=classifier/digits", "run_dir=x"])))[1].eval()
    assert isinstance(method, Classifies)
    return method


def test_what_training_changed_does_not_count(judge: Classifies) -> None:
    method = untrained_dcgan()
    before = list(untrained(method, DATA, judge))
    assert [(line["end"], line["sampling"], line["what"], line["kimg"]) for line in before] == [
        (UNTRAINED, sampling, "prior", 0.0) for sampling in ("running_statistics", "batch_statistics")
    ]
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(1.0)
    method.images_seen = 8000
    assert list(untrained(method, DATA, judge)) == before
    other = untrained_dcgan("seed=1")
    assert [line["fd"] for line in untrained(other, DATA, judge)] != [line["fd"] for line in before]


def test_other_real_images_pass_the_gate_that_untrained_generators_set(judge: Classifies) -> None:
    line = real(DATA, judge)
    assert (line["end"], line["count"], line["data"]) == (REAL, 100, "digits:test (100 of 359)")
    assert 0 < line["fd"] < GATE * min(other["fd"] for other in untrained(untrained_dcgan(), DATA, judge))
    instruments = Instruments(extractor=FromClassifier(judge), metrics=["fd"])
    same = evaluate(real_images(DATA, "train"), real_images(DATA, "train"), instruments)
    assert same["fd"] < 0.1 * line["fd"], "of the set against itself"


def test_a_judge_that_is_no_classifier_is_refused(monkeypatch: pytest.MonkeyPatch, judge: Classifies) -> None:
    dcgan = untrained_dcgan()
    assert isinstance(dcgan, HasLatents)
    monkeypatch.setattr(ledger, "load_method", lambda path: (dcgan if path == Path("dcgan") else judge, DATA))
    with pytest.raises(ValueError, match="--judge takes a checkpoint of a classifier, and dcgan is a DCGAN"):
        next(ends([Path("run")], Path("dcgan")))
    with pytest.raises(ValueError, match=r"run is a run of .*, which draws no images of latents"):
        next(ends([Path("run")], Path("judge")))


def test_lines_take_the_place_of_earlier_ones_of_the_same_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    one = {"end": UNTRAINED, "latent_dim": 100, "train_seed": 0, "extractor_weights": "a", "fd": 1.0}
    ledger.take_in([{"end": REAL, "extractor_weights": "a", "fd": 0.5}, one, one | {"train_seed": 1}])
    ledger.take_in([one | {"fd": 2.0}, one | {"latent_dim": 200}])
    found = results.read_results(ledger.ENDS)
    assert [(line.get("latent_dim"), line.get("train_seed"), line["fd"]) for line in found] == [
        (None, None, 0.5),
        (100, 0, 2.0),
        (100, 1, 1.0),
        (200, 0, 1.0),
    ]
    with pytest.raises(ValueError, match="by several judges, a, b: measure all ends by one"):
        ledger.take_in([one | {"extractor_weights": "b"}])
