"""Grad-CAM against its closed form."""

from __future__ import annotations

import pytest
import torch

from generative.attribution import grad_cam
from lightning_modules.classifier.networks import Backbone
from tests.support.classifiers import noise


def test_grad_cam_of_a_pooled_network_is_its_class_activation_map() -> None:
    """With a mean and a linear layer after A, a_k = w_k / (h w): Grad-CAM is CAM (Selvaraju et al. 2017, section 3.1)."""
    torch.manual_seed(0)
    network = Backbone(architecture="resnet10", image_channels=3, num_classes=5, stem="small").eval()
    network.requires_grad_(False)
    images, classes = noise(3, 32), torch.tensor([0, 4, 2])
    trunk = network.trunk
    with torch.no_grad():
        a = trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(trunk.relu(trunk.bn1(trunk.conv1(images)))))))
    expected = torch.einsum("bk,bkhw->bhw", network.classifier.weight[classes], a) / a[0, 0].numel()
    with torch.no_grad():
        found = grad_cam(network, images, classes)
    assert found.shape == (3, 4, 4)
    assert found.any()
    torch.testing.assert_close(found, expected.clamp(min=0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("architecture", ["mobilenet_v2", "mobilenet_v3_small"])
def test_grad_cam_of_mobilenets(architecture: str) -> None:
    torch.manual_seed(0)
    network = Backbone(architecture=architecture, image_channels=1, num_classes=3, stem="small").eval()
    found = grad_cam(network, torch.rand(2, 1, 64, 64), torch.tensor([0, 1]))
    assert found.shape[0] == 2
    assert min(found.shape[1:]) > 1
    assert found.min() >= 0
