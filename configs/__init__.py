"""Documented configuration."""
