"""The StyleGAN-like special case trains."""

from __future__ import annotations

from pathlib import Path

import torch

from launch.checkpoint import load_method
from launch.compose import compose
from lightning_modules.poly_inr.module import PolyINR
from lightning_modules.poly_inr.networks import StyleAffine
from train import train


def test_the_experiment_trains_for_two_steps(tmp_path: Path) -> None:
    settings = ["max_kimg=0.128", "callbacks.metrics.test_metrics=[fd]", f"run_dir={tmp_path / 'run'}"]
    train(compose("train", ["experiment=poly_inr/digits_style", *settings]))
    method, _ = load_method(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert isinstance(method, PolyINR)
    assert isinstance(method.generator.heads, StyleAffine)
    assert method.images_seen == 128
    labels = method.balanced_labels(0, 4)
    images = method.generator(method.latents(0, 4, seed=0, stream="latents"), labels, method.grid(8, 8))
    gradients = torch.autograd.grad(images.square().sum(), list(method.generator.heads.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients), "the style codes of every level learn"
