"""Random numbers of training."""
