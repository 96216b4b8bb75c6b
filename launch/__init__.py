"""What train.py, evaluate.py, generate.py and sweep.py share: configuration, run folders, checkpoints, one-line errors."""
