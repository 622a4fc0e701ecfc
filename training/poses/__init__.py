"""Plausible poses: recorded, recombined, checked."""
