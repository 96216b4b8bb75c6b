"""What is kept is computed again when a tensor or a setting changes, and never where a graph is recorded."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.kept import Kept


class Sum:
    """The sum of some tensors, kept; counts how often it is computed."""

    def __init__(self) -> None:
        self.kept: Kept[Tensor] = Kept()
        self.times = 0

    def __call__(self, *tensors: Tensor, settings: object = None) -> float:
        def compute() -> Tensor:
            self.times += 1
            return torch.stack([tensor.sum() for tensor in tensors]).sum()

        return float(self.kept.get(tensors, compute, settings=settings).detach())  # type: ignore[arg-type]


def test_it_is_computed_once_and_after_each_change() -> None:
    total, a, b = Sum(), torch.ones(2), torch.ones(3)
    with torch.no_grad():
        assert [total(a, b), total(a, b)] == [5, 5]
        assert total.times == 1
        b[0] = 3  # in place
        assert [total(a, b), total(a, b)] == [7, 7]
        assert total.times == 2
        assert total(a, b.clone()) == 7
        assert total.times == 3, "another tensor, even if equal"
        assert total(a.double(), b) == 7
        assert total.times == 4
        assert [total(a, b, settings=1), total(a, b, settings=2), total(a, b, settings=2)] == [7, 7, 7]
        assert total.times == 6


def test_nothing_is_kept_where_gradients_are_recorded() -> None:
    total, a = Sum(), torch.ones(2, requires_grad=True)
    total(a)
    total(a)
    assert total.times == 2
    with torch.no_grad():
        total(a)
        total(a)
    assert total.times == 3
    total(a)
    assert total.kept.value is None, "nor what was kept before"


def test_nothing_is_kept_of_tensors_that_do_not_count_their_changes() -> None:
    total = Sum()
    with torch.inference_mode():
        a = torch.ones(2)
        assert total(a) == 2
        a[0] = 5
        assert total(a) == 6
