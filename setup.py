"""Packaging of HierProb3D; metadata and options are in pyproject.toml."""

from setuptools import setup

setup()
