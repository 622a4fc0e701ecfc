"""Pipelines and the command line: wiring and options, no mathematics."""
