"""The mapped weights of EfficientNet-Lite0 on all thousand photos: some three minutes on one core."""

from __future__ import annotations

import pytest

from tests.metrics.test_features import PHOTOS, accuracy_on_photos

pytestmark = pytest.mark.soak


def test_efficientnet_lite0_names_the_photos() -> None:
    if not PHOTOS.exists():
        pytest.skip(f"needs {PHOTOS.name}, one ImageNet photo a class")
    assert accuracy_on_photos(every=1) >= 0.87
