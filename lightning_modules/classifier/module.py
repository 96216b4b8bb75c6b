"""A classifier: the judge of generated images, and the baseline of the methods that classify."""

from __future__ import annotations

from lightning_modules.classification import Classification


class Classifier(Classification):
    """A backbone of torchvision (:mod:`lightning_modules.classifier.networks`), trained as `Classification` does."""
