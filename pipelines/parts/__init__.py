"""The same work on many machines: a plan in parts, the parts, what needs all of them, and Slurm."""
