"""What the maps of a network of moments are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from generative.attribution import grad_cam
from generative.rendering.colours import enlarged
from lightning_modules.tasks.compared_models import last_shares
from tests.support.classifiers import dgm, noise, resnet


@pytest.mark.parametrize("blocks", ["[1]", "[1,1]"])
@pytest.mark.parametrize("with_moments", ["true", "false"])
def test_last_maps_of_a_dgm_are_its_last_features(blocks: str, with_moments: str) -> None:
    method = dgm(f"method.backbone.blocks={blocks}", f"method.backbone.moments={with_moments}", size=8)
    seen: list[Tensor] = []
    network = method.averaged_network
    network.last_maps().register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.no_grad():
        features = network.last_level(noise(2, 8)).features
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], features)


def test_the_map_of_each_kind_of_network() -> None:
    images, classes = noise(2, 32), torch.tensor([0, 1])
    for method, kind in ((dgm(), "moments"), (dgm("method.backbone.moments=false"), "features x means")):
        with torch.no_grad():
            *_, last = method.averaged_network.walk(images)
        expected = enlarged((last.projected * last.moments[:, :, None, None]).sum(dim=1), (32, 32))
        torch.testing.assert_close(last_shares(method, images, classes), expected)
        assert method.kind_of_map == kind
    other = resnet()
    expected = enlarged(grad_cam(other.averaged_network, images, classes), (32, 32))
    torch.testing.assert_close(last_shares(other, images, classes), expected)
    assert other.kind_of_map == "Grad-CAM"
