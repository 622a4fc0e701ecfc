"""How the lift is trained: bodies as points, seen anew at every step, with detectors' errors."""
