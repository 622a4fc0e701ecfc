"""Tracks of a run's videos, from the rows of its people."""
