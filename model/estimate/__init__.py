"""What follows from a distribution: bodies, samples, refinement, and their errors."""
