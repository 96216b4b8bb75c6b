"""What train.py needs: run folders, multiruns, failures, several ranks."""
