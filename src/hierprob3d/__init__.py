"""3D human bodies from pictures as probability distributions, at scale."""
