"""ReGene (2021): images of a class from averages of a classifier's latents, by a decoder from latents back to images."""
