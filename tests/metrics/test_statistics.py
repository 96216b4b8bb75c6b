"""Streaming statistics, rows by number, and their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metrics.features import make_extractor
from metrics.functional import Gaussian, frechet_distance
from metrics.statistics import (
    Collector,
    GaussianStatistics,
    NumberedRows,
    Summary,
    cached_path,
    keep_in_cache,
    load_cached,
    load_summary,
    save_summary,
)


def rows(count: int, dim: int = 6) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(count)) + 2


@pytest.mark.parametrize("count", [2, 5, 6, 7, 40])
def test_streamed_statistics_are_those_of_all_rows(count: int) -> None:
    everything = rows(count)
    streamed = GaussianStatistics(6)
    for part in everything.split(3):
        streamed.update(part)
    found, expected = streamed.compute(), Gaussian.of(everything)
    assert found.num_rows == expected.num_rows == count
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.full_covariance(), expected.full_covariance(), rtol=1e-10, atol=1e-12)
    assert (found.factor is None) == (count > 6), "few rows keep their exact factor"
    assert sum(len(part) for part in streamed.rows) <= 6 + 3, "memory does not grow with the rows"
    streamed.reset()
    with pytest.raises(ValueError, match="at least 2 rows"):
        streamed.compute()


def test_few_rows_of_many_features_need_no_table() -> None:
    """Forty photos in raw pixels: 196,608 features, whose table would take 309 GB."""
    statistics = GaussianStatistics(3 * 256 * 256)
    for part in rows(4, 3 * 256 * 256).split(2):
        statistics.update(part)
    assert sum(table.numel() for table in statistics.tables) == 0
    assert frechet_distance(statistics.compute(), Gaussian.of(rows(5, 3 * 256 * 256))) > 1000


@pytest.mark.parametrize("shares", [(20, 3), (3, 20), (20, 20), (3, 2)])
def test_ranks_put_together_what_each_has_kept(shares: tuple[int, int]) -> None:
    """Also where only one of them has had more rows than features and so has a table: as torchmetrics gathers them."""
    everything = rows(sum(shares))
    together, ranks = GaussianStatistics(6), [GaussianStatistics(6) for _ in shares]
    for rank, share in zip(ranks, everything.split(shares), strict=True):
        for part in share.split(3):
            rank.update(part)
    together.num_summed = sum(rank.num_summed for rank in ranks)
    together.total = sum(rank.total for rank in ranks)
    together.tables = [torch.cat([table for rank in ranks for table in rank.tables])]
    together.rows = [torch.cat([kept for rank in ranks for kept in rank.rows])]
    found, expected = together.compute(), Gaussian.of(everything)
    assert found.num_rows == sum(shares)
    torch.testing.assert_close(found.full_covariance(), expected.full_covariance(), rtol=1e-10, atol=1e-12)


def test_rows_come_back_in_the_order_of_their_numbers() -> None:
    kept = NumberedRows(6)
    everything = rows(9)
    for numbers in (torch.tensor([4, 8, 1]), torch.tensor([0, 2, 3]), torch.tensor([7, 6, 5])):
        kept.update(everything[numbers], numbers)
    assert torch.equal(kept.compute(), everything)
    twice = NumberedRows(6)
    for _ in range(2):
        twice.update(everything[:1], torch.tensor([0]))
    with pytest.raises(AssertionError, match="shown twice"):
        twice.compute()


@pytest.mark.parametrize("count", [4, 30])
def test_files_give_back_what_was_saved(tmp_path: Path, count: int) -> None:
    facts = {"extractor": "pixels", "images": "abc"}
    summary = Summary(count, {"features": Gaussian.of(rows(count))}, {"features": rows(count)}, facts)
    save_summary(summary, tmp_path / "a.npz")
    loaded = load_summary(tmp_path / "a.npz")
    assert loaded.facts == facts
    assert loaded.num_images == count
    assert torch.equal(loaded.rows["features"], summary.rows["features"])
    assert frechet_distance(loaded.gaussians["features"], summary.gaussians["features"]) == pytest.approx(0, abs=1e-9)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"], "nothing half-written is left"


def test_statistics_of_pytorch_fid_are_read(tmp_path: Path) -> None:
    fitted = Gaussian.of(rows(30))
    np.savez(tmp_path / "other.npz", mu=fitted.mean.numpy(), sigma=fitted.full_covariance().numpy())
    loaded = load_summary(tmp_path / "other.npz")
    assert loaded.facts["extractor"] == "inception"
    assert "another program" in loaded.facts["note"]
    assert loaded.num_images == 0, "the file does not say"
    other = Gaussian.of(rows(31))
    assert frechet_distance(loaded.gaussians["features"], other) == pytest.approx(frechet_distance(fitted, other))


def test_the_cache_holds_what_its_name_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"extractor": "e", "images": "abc"}
    path = cached_path(tmp_path, facts)
    assert path != cached_path(tmp_path, facts | {"images": "abd"})
    assert load_cached(path, facts) is None
    save_summary(Summary(4, {"features": Gaussian.of(rows(4))}, facts=facts), path)
    assert load_cached(path, facts) is not None
    assert load_cached(path, facts | {"images": "abd"}) is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_cached(path, facts) is None
    assert "is not a readable file of statistics" in capsys.readouterr().err
    (tmp_path / "file").write_text("no folder")
    keep_in_cache(Summary(4, {"features": Gaussian.of(rows(4))}), tmp_path / "file" / "a.npz")
    assert "the statistics of the real images are not kept" in capsys.readouterr().err


def test_bad_files_and_outputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", np.zeros((2, 2)))
    with pytest.raises(ValueError, match="holds no statistics"):
        load_summary(tmp_path / "images.npz")
    with pytest.raises(ValueError, match="pixels has no logits: it gives features"):
        Collector(make_extractor("pixels", image_shape=(1, 4, 4)), statistics=[], rows=["logits"])
    np.savez(tmp_path / "odd.npz", mu=np.zeros(3), sigma=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"mu of shape \(3,\) and sigma of \(2, 3\)"):
        load_summary(tmp_path / "odd.npz")


def test_features_that_are_not_finite_name_the_image() -> None:
    collector = Collector(make_extractor("pixels", image_shape=(1, 2, 3)), statistics=["features"], rows=[])
    features = rows(4)
    features[2, 1] = float("nan")
    with pytest.raises(ValueError, match="the features of image number 12 are not finite"):
        collector.update({"features": features}, torch.arange(10, 14))
