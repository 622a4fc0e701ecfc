"""3DPW, SSP-3D and sets in their layouts."""
