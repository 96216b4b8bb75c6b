"""Images that a method makes again, as a set."""

from __future__ import annotations

import torch
from torch import Tensor

from generative.rendering.images import from_uint8
from metrics.image_sets import ImagesInMemory, random_part
from metrics.samples import Reconstructions
from tests.support.echo import Echo


class Labelled(Echo):
    """Makes an image again as bright as its class says."""

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is not None
        assert images.dtype == self.weight.dtype
        return from_uint8(labels.to(torch.uint8))[:, None, None, None].expand_as(images)


def test_each_image_is_made_again_by_its_own_label_in_the_method_s_precision() -> None:
    labels = torch.arange(40) % 7
    originals = ImagesInMemory("set", torch.zeros(40, 1, 8, 8, dtype=torch.uint8), labels)
    chosen = random_part(originals, 23)
    assert chosen.labels() is not None
    method = Labelled(image_shape=(1, 8, 8), num_classes=7, seed=0).double()
    made = Reconstructions(method, chosen)
    for first, count in ((0, 23), (7, 9), (22, 1)):
        assert torch.equal(made.images(first, count)[:, 0, 0, 0], chosen.labels()[first : first + count])
    unconditional = Echo(image_shape=(1, 8, 8), num_classes=0, seed=0)
    assert Reconstructions(unconditional, originals).labels() is None
