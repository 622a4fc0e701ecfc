"""Standalone programs that made bundled files; not needed at run time."""
