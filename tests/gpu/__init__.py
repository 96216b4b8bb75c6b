"""Tests that need a GPU: `make check-gpu`."""
