"""The folder of results: parts, locks, names of files."""
