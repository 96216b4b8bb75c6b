"""What the paper's Lemma 1 and Theorem 2 come to on trained weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative.checks import check_at_least
from generative.latents.bank import Bank
from generative.latents.combinations import Combination, covariance_factor
from generative.latents.confidence import log_probability, log_probability_bound, margin, margin_bound
from generative.randomness import Stream
from generative.rendering.tables import markdown
from lightning_modules.regene.module import ReGene
from lightning_modules.regene.samplers import facts_of
from lightning_modules.tasks.tables import write_lines

SOURCES = (2, 3, 5)  # of a combination, in turn


def theorems(method: ReGene, output: Path, *, seed: int, count: int = 10_000) -> list[Path]:
    """Lemma 1 and Theorem 2, on ``count`` combinations of training latents of each kind, in float64.

    A row ``lemma``: combinations of 2, 3 and 5 latents with random weights. ``misnamed`` are those that the linear head does
    not name as their sources, ``margin_slack`` and ``log_probability_slack`` the least by which they exceed the concavity
    bounds: negative would be a counterexample. Of sources that the head itself names rightly, and of all that are in the bank.
    A row ``variance``: the trace of the covariance of means of n over that of the class, the mean over classes, beside the
    factor that distinct members have. Theorem 2 says 1.
    """
    check_at_least(10 * method.num_classes, count=count)
    facts = facts_of(method, seed=seed)
    rows = [
        facts | row for row in (*lemma_rows(method, count, seed=seed), *variance_rows(method.bank, count, seed=seed))
    ]
    written, table = write_lines(rows, output / "theorems.jsonl"), output / "theorems.md"
    table.write_text(table_of(rows))
    return [written, table]


def lemma_rows(method: ReGene, count: int, *, seed: int) -> Iterable[dict[str, Any]]:
    weight, bias = (part.detach().double().cpu() for part in method.averaged_network.classifier.parameters())
    bank = method.bank
    scores = bank.latents.double() @ weight.T + bias
    right = scores.argmax(dim=1) == bank.labels
    for label in bank.classes:
        if int(right[bank.labels == label].sum()) < max(SOURCES):
            raise ValueError(
                f"class {label} has fewer than {max(SOURCES)} training images that the classifier names so, and Lemma 1 is of "
                "such: train it for longer"
            )
    for what, chosen in (("sources named rightly", bank.select(right.nonzero()[:, 0])), ("all sources", bank)):
        yield {
            "row": "lemma",
            "sources": what,
            "wrong_sources": int(len(bank) - right.sum()) if chosen is bank else 0,
        } | slack(chosen, weight, bias, count, seed=seed)


def slack(bank: Bank, weight: Tensor, bias: Tensor, count: int, *, seed: int) -> dict[str, Any]:
    """Of ``count`` convex combinations of members: how many the head ``weight`` [K, D], ``bias`` [K] misnames, and the slack."""
    labels = torch.tensor(bank.classes)[torch.arange(count) % len(bank.classes)]
    misnamed, slacks = 0, []
    for place, n in enumerate(SOURCES):
        numbers = list(range(place, count, len(SOURCES)))
        own = labels[numbers]
        drawn = Combination(bank, n, theta="dirichlet").draw(numbers, own, Stream(seed, "lemma"))
        scores = drawn.latents @ weight.T + bias
        of_sources = bank.rows(drawn.sources.flatten()) @ weight.T + bias
        of_sources = of_sources.unflatten(0, drawn.sources.shape)
        misnamed += int((scores.argmax(dim=1) != own).sum())
        slacks.append(
            torch.stack(
                [
                    margin(scores, own) - margin_bound(of_sources, own, drawn.weights),
                    log_probability(scores, own) - log_probability_bound(of_sources, own, drawn.weights),
                ]
            )
        )
    least = torch.cat(slacks, dim=1).amin(dim=1)
    return {
        "count": count,
        "misnamed": misnamed,
        "margin_slack": float(least[0]),
        "log_probability_slack": float(least[1]),
    }


def variance_rows(bank: Bank, count: int, *, seed: int) -> Iterable[dict[str, Any]]:
    for n in (1, *SOURCES):
        ratios, factors = [], []
        for label in bank.classes:
            numbers = range(count // len(bank.classes))
            labels = torch.full((len(numbers),), label)
            latents = Combination(bank, n).draw(numbers, labels, Stream(seed, "variance")).latents
            ratios.append(float(latents.var(dim=0, unbiased=False).sum() / bank.covariance(label).trace()))
            factors.append(covariance_factor(torch.full((n,), 1.0 / n, dtype=torch.float64), len(bank.members(label))))
        found, factor = (sum(values) / len(values) for values in (ratios, factors))
        yield {"row": "variance", "n": n, "count": count, "variance_ratio": found, "factor": factor}


def table_of(rows: Iterable[dict[str, Any]]) -> str:
    lemma, variance = [], []
    for row in rows:
        if row["row"] == "lemma":
            slacks = [f"{row[name]:.3g}" for name in ("margin_slack", "log_probability_slack")]
            lemma.append([row["sources"], str(row["wrong_sources"]), str(row["count"]), str(row["misnamed"]), *slacks])
        else:
            variance.append([str(row["n"]), f"{row['variance_ratio']:.4f}", f"{row['factor']:.4f}"])
    titles = ("sources", "wrong among them", "combinations", "misnamed", "least slack of the margin", "of log p")
    return "\n".join([markdown(titles, lemma), markdown(("n", "variance over the class's", "factor"), variance)])
