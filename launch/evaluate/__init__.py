"""What evaluate.py does: one typed request a mode, and a file for each mode."""
