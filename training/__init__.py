"""The training job: synthetic data, losses, loop. Knows no Beam."""
