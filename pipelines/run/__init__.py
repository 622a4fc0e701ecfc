"""A run around a pipeline: workers, progress, manifest, outcome."""
