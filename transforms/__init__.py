"""Beam DoFns and PTransforms: thin shells around `model`."""
