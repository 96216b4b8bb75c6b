"""Patches cut out of inspection images: windows, how they are shown, how copies are pasted, and how batches are made of them."""
