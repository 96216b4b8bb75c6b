"""What the programs share: configuration, construction, checkpoints, ranks, one-line errors."""
