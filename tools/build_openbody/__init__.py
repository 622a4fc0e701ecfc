"""Builds the bundled OpenBody from MakeHuman's free data: `python -m tools.build_openbody`."""
