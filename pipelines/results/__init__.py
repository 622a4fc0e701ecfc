"""The results of a run as its readers see them."""
