"""Defects from a few real ones: what refines drawn ones, fills outlines, and turns faultless images into defective ones."""
