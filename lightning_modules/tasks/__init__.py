"""What generate.py can show of every method that has a capability."""
