"""What numbers mean: measures and their directions, extractors, statistics, protocols, judges."""
