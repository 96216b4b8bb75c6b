"""Many runs of train.py from one W&B sweep file, on this machine and without a server."""
