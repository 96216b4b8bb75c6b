"""Lemma 1 and the variance of means, on weights and banks whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from generative.latents.bank import Bank
from lightning_modules.regene.drawing import Kept
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.theorems import slack, theorems, variance_rows
from tests.contracts.test_methods import built

SLACK = 1e-10


def separable(members: int = 40) -> tuple[Bank, torch.Tensor, torch.Tensor]:
    """Three classes around three corners, and the head that names all of them rightly."""
    generator = torch.Generator().manual_seed(0)
    weight = 4.0 * torch.eye(3, 5, dtype=torch.float64)
    labels = torch.arange(3).repeat(members)
    latents = torch.eye(3, 5)[labels] + 0.1 * torch.randn(3 * members, 5, generator=generator)
    return Bank(latents, labels), weight, torch.zeros(3, dtype=torch.float64)


def test_combinations_of_rightly_named_latents_are_named_rightly_and_keep_to_both_bounds() -> None:
    found = slack(*separable(), 600, seed=0)
    assert (found["count"], found["misnamed"]) == (600, 0)
    assert found["margin_slack"] > -SLACK
    assert found["log_probability_slack"] > -SLACK


def test_a_wrong_source_is_seen() -> None:
    """Members of another corner among a class: their combinations are misnamed, and the bounds, which mind them, still hold."""
    bank, weight, bias = separable()
    labels = bank.labels.clone()
    labels[::6] = 1  # every second latent of class 0
    found = slack(Bank(bank.latents, labels), weight, bias, 600, seed=0)
    assert found["misnamed"] > 0
    assert found["margin_slack"] > -SLACK


def test_the_variance_of_means_is_that_of_distinct_members() -> None:
    bank = separable(members=60)[0]
    rows = list(variance_rows(bank, 3000, seed=1))
    assert [row["n"] for row in rows] == [1, 2, 3, 5]
    for row in rows:
        # The variance of 1,000 draws: its relative deviation is below sqrt(2 / 1000) = 0.045.
        assert row["variance_ratio"] == pytest.approx(row["factor"], rel=0.15)
    assert rows[1]["factor"] == pytest.approx((60 * 0.5 - 1) / 59)


def test_the_task_writes_a_table_and_its_rows(tmp_path: Path) -> None:
    method = built("regene")
    assert isinstance(method, ReGene)
    head = method.averaged_network.classifier
    labels = torch.arange(10).repeat(8)
    torch.nn.init.zeros_(head.bias)
    head.weight.data = 4.0 * torch.eye(10, head.in_features)
    method.kept = Kept(method.encoder_state, Bank(torch.eye(10, head.in_features)[labels], labels), None)
    with pytest.raises(ValueError, match="count must be at least 100, got 60"):
        theorems(method, tmp_path, seed=0, count=60)
    written, table = theorems(method, tmp_path, seed=0, count=100)
    rows = [json.loads(line) for line in written.read_text().splitlines()]
    assert [row["row"] for row in rows] == ["lemma"] * 2 + ["variance"] * 4
    assert "least slack" in table.read_text()
    head.weight.data = -head.weight.data
    with pytest.raises(ValueError, match="class 0 has fewer than 5 training images that the classifier names so"):
        theorems(method, tmp_path, seed=0, count=100)
