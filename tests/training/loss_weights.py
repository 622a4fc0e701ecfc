"""Weights of losses that several tests train with."""

from __future__ import annotations

from hierprob3d.configs.training_phases import LossWeights

NO_LOSS = LossWeights(pose=0.0, shape=0.0, joints2d=0.0, global_rotmat=0.0)
"""For phases in which the readout alone teaches: the heads neither run nor learn."""
