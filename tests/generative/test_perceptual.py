"""The distance of images in a network's stages."""

from __future__ import annotations

import pytest
import torch

from generative.perceptual import deep_feature_distance


def test_deep_feature_distance_known_answers() -> None:
    a = [torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    assert deep_feature_distance(a, a).tolist() == [0.0, 0.0]
    assert deep_feature_distance(a, [5 * x for x in a]).tolist() == pytest.approx([0, 0], abs=1e-6), "directions count"
    # Opposite directions everywhere: |2|^2 at each of the two stages.
    assert deep_feature_distance(a, [-x for x in a]).tolist() == pytest.approx([8, 8])
