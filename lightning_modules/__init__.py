"""Training recipes, a folder per paper. Folders never import each other; what two need lies beside them or in `generative`."""
