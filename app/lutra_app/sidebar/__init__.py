"""Groups and pages, the way into everything else."""
