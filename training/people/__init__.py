"""Synthetic people, with and without pictures."""
