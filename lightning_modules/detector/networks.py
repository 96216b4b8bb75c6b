"""Faster R-CNN (Ren et al. 2015) with a pyramid (Lin et al. 2017), of torchvision's parts.

Two things differ from torchvision's own, so that ranks and parts of a batch learn what the whole does: which anchors and
proposals enter a loss is drawn for each image by a seed of its own, and every image has the same weight in the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign

from generative.checks import check_at_least
from generative.precision import at_least_float32
from lightning_modules.detector.backbones import STRIDES, Backbone

Found = dict[str, Tensor]  # "boxes" [K, 4] in pixels, "labels" int64 [K], "scores" [K] from high to low
COARSEST = 32  # images are padded to a multiple of the trunk's last stride
BETA = 1 / 9  # where the loss of an offset turns from a square into a line, as torchvision has it
POOLED = 7  # pixels a side that a proposal is seen in


class SeededSampler:
    """Of each image up to ``count`` anchors or proposals, at most the share ``positive`` of them positive ones.

    Which ones is a function of the image's seed and the labels of the candidates (above 0: positive, 0: background, below:
    in no loss), and of nothing else: torch's global generator is left alone.
    """

    def __init__(self, count: int, positive: float) -> None:
        self.count, self.positive = count, positive
        self.seeds: list[int] = []

    def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """For each image masks uint8 [N] of the chosen positive ones, and of the chosen background."""
        both = [self.choose(of_image, seed) for of_image, seed in zip(labels, self.seeds, strict=True)]
        return [first for first, _ in both], [second for _, second in both]

    def choose(self, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        positive, background = ((labels >= 1).nonzero()[:, 0], (labels == 0).nonzero()[:, 0])
        num_positive = min(len(positive), int(self.count * self.positive))
        num_background = min(len(background), self.count - num_positive)
        generator = torch.Generator().manual_seed(seed)
        masks = []
        for rows, number in ((positive, num_positive), (background, num_background)):
            order = torch.randperm(len(rows), generator=generator)[:number].to(rows.device)
            mask = torch.zeros_like(labels, dtype=torch.uint8)
            mask[rows[order]] = 1
            masks.append(mask)
        return masks[0], masks[1]


def image_weights(counts: Sequence[int], like: Tensor) -> Tensor:
    """For each of the samples of B images, ``counts`` [B] of each, 1 / (B n): their sum is the mean over images of means."""
    number = torch.tensor(counts, device=like.device)
    return (1.0 / (len(counts) * number.clamp(min=1).to(like.dtype))).repeat_interleave(number)


class Proposals(RegionProposalNetwork):
    """torchvision's, whose losses are means over images."""

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of object against background, and the smooth distance of offsets, of the sampled anchors.

        ``objectness`` [B A, 1], ``pred_bbox_deltas`` [B A, 4], of each image ``labels`` [A] and ``regression_targets`` [A, 4].
        """
        positives, backgrounds = self.fg_bg_sampler(labels)
        chosen = [first + second for first, second in zip(positives, backgrounds, strict=True)]
        rows = torch.cat(chosen).nonzero()[:, 0]
        weights = image_weights([int(one.sum()) for one in chosen], objectness)
        truth = torch.cat(labels)[rows].to(objectness.dtype)
        loss = F.binary_cross_entropy_with_logits(objectness.flatten()[rows], truth, reduction="none")
        is_object = truth > 0
        targets = torch.cat(regression_targets)[rows[is_object]].to(pred_bbox_deltas.dtype)
        distances = F.smooth_l1_loss(pred_bbox_deltas[rows[is_object]], targets, beta=BETA, reduction="none")
        return (loss * weights).sum(), (distances.sum(dim=1) * weights[is_object]).sum()


class Heads(RoIHeads):
    """torchvision's, whose losses are means over images."""

    def losses(
        self, maps: dict[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]], targets: list[Found]
    ) -> dict[str, Tensor]:
        """Cross-entropy of the classes, and the smooth distance of the offsets of the true class, of the sampled proposals."""
        proposals, _, labels, offsets = self.select_training_samples(proposals, targets)
        logits, regression = self.box_predictor(self.box_head(self.box_roi_pool(maps, proposals, sizes)))
        truth, weights = torch.cat(labels), image_weights([len(one) for one in labels], logits)
        is_object = (truth > 0).nonzero()[:, 0]
        regression = regression.unflatten(1, (-1, 4))[is_object, truth[is_object]]
        wanted = torch.cat(offsets)[is_object].to(regression.dtype)
        distances = F.smooth_l1_loss(regression, wanted, beta=BETA, reduction="none").sum(dim=1)
        entropies = F.cross_entropy(logits, truth, reduction="none")
        return {"class": (entropies * weights).sum(), "box": (distances * weights[is_object]).sum()}


class FasterRCNN(nn.Module):
    """Images [B, 1 or 3, H, W] in [-1, 1], shown at their own size -> what is on each of them, or losses.

    ``anchor_sizes``: of each level of the pyramid, from the stride 4 on, the sides in pixels of its anchors, every one at each of
    ``anchor_ratios`` (height over width). Of each level ``proposals[0]`` are kept by score, after overlapping ones are gone
    ``proposals[1]`` of an image; ``test_proposals``: the same in use. ``head_width``: of the two layers that name a proposal.
    ``sampled_anchors`` and ``sampled_proposals`` of an image enter the losses. Classes are counted from 0 outside, and inside
    from 1, after the background.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: Callable[..., Backbone],
        anchor_sizes: list[list[float]],
        anchor_ratios: list[float],
        proposals: list[int],
        test_proposals: list[int],
        head_width: int,
        sampled_anchors: int = 256,
        sampled_proposals: int = 128,
        least_score: float = 0.01,
        most_found: int = 100,
    ) -> None:
        super().__init__()
        check_anchors(anchor_sizes, anchor_ratios)
        for name, value in {"proposals": proposals, "test_proposals": test_proposals}.items():
            if len(value) != 2 or min(value) < 1:
                raise ValueError(f"{name} are two numbers of at least 1, before and after overlaps go, got {value}")
        check_at_least(1, head_width=head_width, sampled_anchors=sampled_anchors, sampled_proposals=sampled_proposals)
        levels, self.anchor_sizes = len(anchor_sizes), anchor_sizes
        self.backbone = backbone(levels=levels)
        anchors = AnchorGenerator(tuple(map(tuple, anchor_sizes)), (tuple(anchor_ratios),) * levels)
        width = self.backbone.width
        self.proposals = Proposals(
            anchors,
            RPNHead(width, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=sampled_anchors,
            positive_fraction=0.5,
            pre_nms_top_n={"training": proposals[0], "testing": test_proposals[0]},
            post_nms_top_n={"training": proposals[1], "testing": test_proposals[1]},
            nms_thresh=0.7,
        )
        names = ["0", "1", "2", "3"][:levels]
        self.heads = Heads(
            MultiScaleRoIAlign(names, output_size=POOLED, sampling_ratio=2),
            TwoMLPHead(width * POOLED**2, head_width),
            FastRCNNPredictor(head_width, num_classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=sampled_proposals,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=least_score,
            nms_thresh=0.5,
            detections_per_img=most_found,
        )
        self.samplers = (SeededSampler(sampled_anchors, 0.5), SeededSampler(sampled_proposals, 0.25))
        self.proposals.fg_bg_sampler, self.heads.fg_bg_sampler = self.samplers

    def maps(self, images: Tensor) -> tuple[ImageList, dict[str, Tensor]]:
        """The images, padded by grey at the right and at the bottom, with their own sizes, and the maps of the pyramid.

        The maps are at least float32: bfloat16 has eight bits, too few for an edge in pixels.
        """
        height, width = images.shape[2:]
        padded = F.pad(images, (0, -width % COARSEST, 0, -height % COARSEST))
        maps = {name: at_least_float32(part) for name, part in self.backbone(padded).items()}
        return ImageList(at_least_float32(padded), [(height, width)] * len(images)), maps

    def forward(self, images: Tensor, targets: list[Found], seeds: Tensor) -> dict[str, Tensor]:
        """The four losses of B images, means over images, of their objects: "boxes" [K, 4] and "labels" [K] of each, K from 0.

        ``seeds`` int64 [B, 2]: of each image one for the choice of anchors and one for that of proposals.
        """
        shown, maps = self.maps(images)
        with torch.autocast(images.device.type, enabled=False):
            wanted = [{"boxes": one["boxes"].to(shown.tensors.dtype), "labels": one["labels"] + 1} for one in targets]
            for sampler, of_images in zip(self.samplers, seeds.T.tolist(), strict=True):
                sampler.seeds = of_images
            proposals, losses = self.proposals(shown, maps, wanted)
            heads = self.heads.losses(maps, proposals, shown.image_sizes, wanted)
        return {"object": losses["loss_objectness"], "proposal": losses["loss_rpn_box_reg"], **heads}

    def detect(self, images: Tensor) -> list[Found]:
        """What is on each of the images [B, C, H, W], with scores of at least ``least_score``; in evaluation mode."""
        shown, maps = self.maps(images)
        proposals, _ = self.proposals(shown, maps)
        found, _ = self.heads(maps, proposals, shown.image_sizes)
        return [{**one, "labels": one["labels"] - 1} for one in found]

    def anchor_values(self, images: Tensor) -> Tensor:
        """What the proposals are made of: of each anchor whether an object is there, and four offsets: [B, A, 5]."""
        _, maps = self.maps(images)
        objects, offsets = self.proposals.head(list(maps.values()))
        parts = [
            torch.cat([one.unflatten(1, (-1, 1)), other.unflatten(1, (-1, 4))], dim=2)
            .permute(0, 3, 4, 1, 2)
            .flatten(1, 3)
            for one, other in zip(objects, offsets, strict=True)
        ]
        return torch.cat(parts, dim=1)


def check_anchors(sizes: list[list[float]], ratios: list[float]) -> None:
    if not 1 <= len(sizes) <= len(STRIDES) + 1:
        raise ValueError(
            f"anchor_sizes are given for 1 to {len(STRIDES) + 1} levels, from the stride 4 on, got {len(sizes)} levels"
        )
    if len({len(level) for level in sizes}) != 1 or not sizes[0]:
        raise ValueError(f"every level of anchor_sizes has as many sizes, at least one, got {sizes}")
    if not ratios or min(ratios) <= 0 or min(size for level in sizes for size in level) <= 0:
        raise ValueError(f"anchor_sizes and anchor_ratios must be positive, got {sizes} and {ratios}")
