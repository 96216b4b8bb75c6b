"""Where values and pictures go: CSV, TensorBoard, Weights & Biases."""
