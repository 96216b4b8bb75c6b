"""Which pixels a classifier names a class by, whatever its network: Grad-CAM."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.networks.classifier import ClassifierNetwork


def grad_cam(network: ClassifierNetwork, images: Tensor, classes: Tensor) -> Tensor:
    """relu(sum_k a_k A^k), a_k = mean of d logit / d A^k over positions (Selvaraju et al. 2017): [B, h, w], h x w of A.

    A are the last maps of the network, the logit that of ``classes`` [B]; computed by Captum.
    """
    from captum.attr import LayerGradCam  # half a second that no other task waits for

    asked = images.detach().clone().requires_grad_()  # averaged weights take no gradient, so the images must
    with torch.enable_grad():
        explained = LayerGradCam(network, network.last_maps())
        maps = explained.attribute(asked, target=classes, relu_attributions=True)
    return maps[:, 0].detach()
