"""description.json beside people who took long to make: what of, so that none are mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hierprob3d.model.files.weight_files import whole_files

DESCRIPTION_FILE = "description.json"


def keep_description(folder: Path, description: dict[str, Any], pattern: str) -> None:
    """Writes what a folder's people are made of, or checks that its own file says the same.

    Args:
        folder: of the people.
        description: of JSON's types.
        pattern: of the names of files with people.

    Raises:
        FileNotFoundError: people are there already, and no description.
        ValueError: the description says something else.
    """
    if (folder / DESCRIPTION_FILE).exists() or any(folder.glob(pattern)):
        check_same(folder, description, read_description(folder))
    else:
        write_description(folder, description)


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Writes the description of a folder, as a whole: other processes may be about to read it."""
    with whole_files([folder / DESCRIPTION_FILE]) as [unfinished]:
        unfinished.write_text(json.dumps(description, indent=2))


def read_description(folder: Path) -> dict[str, Any]:
    """What is written down of a folder.

    Raises:
        FileNotFoundError: nothing is.
    """
    path = folder / DESCRIPTION_FILE
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} has pictures but no {DESCRIPTION_FILE}, which earlier versions "
            "did not write: restore it, or remove the folder"
        )
    description: dict[str, Any] = json.loads(path.read_text())
    return description


def check_same(folder: Path, expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Raises ValueError where a folder's description says something else than is expected."""
    different = [name for name, value in expected.items() if found.get(name) != value]
    if different:
        raise ValueError(
            f"{folder} holds pictures made with other settings ({', '.join(different)}; see its "
            f"{DESCRIPTION_FILE}); choose another --experiment or remove the folder"
        )
