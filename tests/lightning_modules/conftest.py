"""An untrained Poly-INR, with classes and without."""

from __future__ import annotations

import pytest
import torch

from launch.build import build
from launch.compose import compose, plain
from lightning_modules.poly_inr.module import PolyINR


@pytest.fixture(params=[True, False], ids=["conditional", "unconditional"])
def method(request: pytest.FixtureRequest) -> PolyINR:
    torch.manual_seed(0)
    config = plain(
        compose("train", ["experiment=none", f"method.conditional={str(request.param).lower()}", "run_dir=x"])
    )
    built = build(config)[1].eval()
    assert isinstance(built, PolyINR)
    return built
