"""ReGene's networks under the names that its configurations and checkpoints call them by."""

from __future__ import annotations

from generative.networks.convolutional_autoencoder import Decoder, Encoder

__all__ = ["Decoder", "Encoder"]
