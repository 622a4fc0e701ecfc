"""People of a video over time: who is who, and how they move."""
