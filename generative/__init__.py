"""Parts of models: losses, penalties, networks, averaging, inversion, rendering. Imports nothing of ours."""
