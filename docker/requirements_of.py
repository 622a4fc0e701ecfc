"""Prints what a pyproject.toml requires, with some of its extras: a layer of its own in images."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements_of(pyproject: str, extras: list[str]) -> list[str]:
    """The requirements of a pyproject.toml and of its extras, one a line."""
    project = tomllib.loads(Path(pyproject).read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    print("\n".join(requirements_of(sys.argv[1], sys.argv[2:])))
