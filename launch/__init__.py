"""What train.py, evaluate.py and generate.py share: configuration, run folders, checkpoints, one-line errors."""
