"""The network in training: losses, steps, schedule."""
