"""Pipelines and the command line: wiring and options only."""
