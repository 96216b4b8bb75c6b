"""Shared mathematics: losses, penalties, networks, averaging, metrics, rendering. Imports nothing of ours."""
