"""One file a data set on one base; no data set is known anywhere else."""
