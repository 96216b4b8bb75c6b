"""The bank: what it keeps, what it hands out, what it refuses."""

from __future__ import annotations

import io

import pytest
import torch

from generative.latents.bank import Bank
from tests.generative.latents.clouds import cloud, covariance


def test_statistics_of_a_class_are_those_of_its_members() -> None:
    bank = cloud(7, 0, 5, dim=3)
    assert (len(bank), bank.dim, bank.classes) == (12, 3, [0, 2])
    for label in bank.classes:
        own = bank.latents[bank.labels == label].double()
        members = bank.members(label)
        assert torch.equal(bank.rows(members), own)
        assert bank.rows(members).dtype == torch.float64
        torch.testing.assert_close(bank.mean(label), own.mean(dim=0), rtol=0, atol=1e-12)
        torch.testing.assert_close(bank.covariance(label), covariance(own), rtol=0, atol=1e-9)
        assert float(bank.centred(label).sum(dim=0).abs().max()) < 1e-9


@pytest.mark.parametrize(("dtype", "size"), [(torch.float16, 12 * (3 * 2 + 16)), (torch.float32, 12 * (3 * 4 + 16))])
def test_a_checkpoint_gives_the_bank_back(dtype: torch.dtype, size: int) -> None:
    bank = cloud(7, 5, dim=3)
    bank = Bank(bank.latents, bank.labels, torch.arange(12) + 100, dtype=dtype)
    assert bank.size == size
    file = io.BytesIO()
    torch.save(bank.state(), file)
    file.seek(0)
    back = Bank.from_state(torch.load(file, weights_only=True))
    for name, tensor in bank.state().items():
        assert torch.equal(back.state()[name], tensor)
        assert back.state()[name].dtype == tensor.dtype
    assert back.latents.dtype == dtype


def test_a_subset_keeps_as_many_of_each_class_and_says_where_they_come_from() -> None:
    bank = cloud(30, 12, dim=3)
    kept = bank.subset(5, seed=3)
    assert [len(kept.members(label)) for label in (0, 1)] == [5, 5]
    assert torch.equal(kept.latents, bank.latents[kept.origins])
    assert torch.equal(kept.labels, bank.labels[kept.origins])
    assert (kept.origins.diff() > 0).all()
    assert torch.equal(bank.subset(5, seed=3).origins, kept.origins)
    assert not torch.equal(bank.subset(5, seed=4).origins, kept.origins)
    again = kept.subset(2, seed=0)
    assert torch.equal(again.latents, bank.latents[again.origins])
    right = bank.select(bank.labels.nonzero()[:, 0])
    assert right.classes == [1]


def test_every_member_is_as_likely_to_be_kept() -> None:
    bank = cloud(6, dim=1)
    kept = torch.stack([torch.bincount(bank.subset(2, seed).origins, minlength=6) for seed in range(600)]).sum(dim=0)
    # A member is kept with probability 1/3: 200 +- 11.5.
    assert ((kept - 200).abs() < 4 * 11.5).all()


def test_what_a_bank_cannot_be_made_of_is_refused() -> None:
    latents, labels = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    bank = Bank(latents, labels)
    with pytest.raises(ValueError, match=r"table of latents \[N, D\], got \(4, 3, 1\)"):
        Bank(latents[:, :, None], labels)
    with pytest.raises(ValueError, match=r"table of latents \[N, D\], got \(4, 3\) of torch.int64"):
        Bank(latents.long(), labels)
    with pytest.raises(ValueError, match="1 latents of the bank hold numbers that are not finite"):
        Bank(latents.clone().index_fill_(0, torch.tensor([2]), torch.nan), labels)
    with pytest.raises(ValueError, match=r"as large as 70000 cannot be kept in torch.float16: take dtype float32"):
        Bank(torch.full((4, 3), 70_000.0), labels, dtype=torch.float16)
    with pytest.raises(ValueError, match=r"float16 or float32, not torch\.float64"):
        Bank(latents, labels, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"4 latents take 4 integers as labels, got \(3,\)"):
        Bank(latents, labels[:3])
    with pytest.raises(ValueError, match=r"4 integers as labels, got \(4,\) of torch.float32"):
        Bank(latents, labels.float())
    with pytest.raises(ValueError, match="origins of a bank are integers from 0, got -1"):
        Bank(latents, labels, labels - 1)
    with pytest.raises(ValueError, match="class 7 has no members in the bank: choose one of 0, 1"):
        bank.mean(7)
    with pytest.raises(ValueError, match=r"class 0 has 2 members in the bank, and this takes n = 3 distinct ones"):
        bank.subset(3, seed=0)
    with pytest.raises(ValueError, match="at least 1 latent a class, got per_class 0"):
        bank.subset(0, seed=0)
    with pytest.raises(ValueError, match="state of a bank lacks labels, origins: it holds latents"):
        Bank.from_state({"latents": latents})
