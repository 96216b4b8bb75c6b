"""Classifiers beside each other."""

from __future__ import annotations

import pytest

from lightning_modules.tasks.compared_models import named_models
from tests.support.classifiers import dgm, resnet


def test_names_of_models() -> None:
    assert list(named_models(dgm(), [resnet(), dgm(), dgm()])) == [
        "dgm-cifar10", "classifier-cifar10", "dgm-cifar10 (2)", "dgm-cifar10 (3)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"a baseline takes images \(3, 16, 16\).*compare models of the same data"):
        named_models(dgm(), [resnet(16)])
