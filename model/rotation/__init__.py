"""Rotations, their matrix-Fisher distributions and random draws."""
