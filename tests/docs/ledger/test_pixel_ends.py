"""The ends of the scale of generators in pixels: networks before training, and other real images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datamodules.digits import Digits
from docs.ledger import pixel_ends as ledger
from docs.ledger import results
from docs.ledger.pixel_ends import REAL, TRAINED, UNTRAINED, drawn, ends, scores, untrained
from launch.build import build
from launch.compose import compose, plain
from lightning_modules.base import Draws
from metrics.splits import real_images

DATA = Digits(batch_size=8, seed=0)


def pggan() -> Draws:
    torch.manual_seed(3)
    method = build(plain(compose("train", ["experiment=none", "method=pggan", "datamodule=digits", "run_dir=x"])))[1]
    assert isinstance(method, Draws)
    return method.eval()


def test_the_networks_before_training_draw_at_their_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "COUNT", 8)
    method = pggan()
    first = drawn(untrained(method)).images(0, 8)
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(1.0)
    assert torch.equal(drawn(untrained(method)).images(0, 8), first), "what training changed does not count"
    halves = first[..., ::2, ::2], first[..., 1::2, 1::2]
    assert not torch.equal(*halves), "at 4 x 4 pixels, as growth begins, they would be the same"


def test_lines_of_real_images_and_of_each_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "COUNT", 200)
    monkeypatch.setattr(ledger, "load_method", lambda path: (pggan(), DATA))
    lines = list(ends([Path("a"), Path("b")]))
    assert [line["end"] for line in lines] == [REAL, UNTRAINED, TRAINED, UNTRAINED, TRAINED]
    assert {(line["count"], line["num_reference"]) for line in lines} == {(200, 200)}
    assert lines[0]["fd"] < lines[1]["fd"]
    same = scores(real_images(DATA, "train"), DATA)
    assert same["fd"] < lines[0]["fd"], "of the set against a part of itself"


def test_a_run_that_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = build(plain(compose("train", ["experiment=classifier/digits", "run_dir=x"])))[1]
    monkeypatch.setattr(ledger, "load_method", lambda path: (judge, DATA))
    with pytest.raises(ValueError, match="a is a run of Classifier, which draws no images"):
        list(ends([Path("a")]))


def test_the_ends_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert ledger.ends_in_words("pggan/digits") == ""
    told = {"experiment": "pggan/digits", "count": 2000, "reference": "digits"}
    lines = [{"end": REAL, "count": 2000, "fd": fd, "reference": of} for fd, of in ((9.9, "others"), (4.2, "digits"))]
    for seed in range(2):
        lines += [told | {"end": UNTRAINED, "fd": 600.0 + seed}, told | {"end": TRAINED, "fd": 20.0 + 2 * seed}]
    results.write_results(ledger.PIXEL_ENDS, lines)
    words = ledger.ends_in_words("pggan/digits")
    assert "of 2,000 images: 600 before training, 21.0 ± 12.7 after it (2 generators), 4.2 of other real" in words
    assert ledger.ends_in_words("pggan/others") == ""
