"""Metrics of modes and distributions on datasets, and their exact totals."""
