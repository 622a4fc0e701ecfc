"""The body model that stored rows were made with, found again by its hash."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache

from hierprob3d.model.body.mesh_body import Body, load_body

BUNDLED = "open"
"""What `load_body` takes for the body model that is part of this package."""


class OtherBody(ValueError):
    """No body model at hand is the recorded one; the message says which is and what was tried."""


def find_body(metadata: Mapping[str, str], paths: Iterable[str]) -> Body:
    """The body model of rows, among those at some paths.

    Args:
        metadata: Of the file of the rows: gender, family and SHA-256 of its body model.
        paths: What `load_body` takes, the likeliest first.

    Raises:
        OtherBody: None of them is the recorded one.
        FileNotFoundError: There is nothing at a path.
    """
    wanted = metadata.get("body_sha256", "")
    gender = metadata.get("body_gender", "neutral")
    tried = []
    for path in paths:
        try:
            body = _load(path, gender)
        except ValueError as error:  # of another gender, or no body model
            tried.append(str(error).rstrip("."))
            continue
        if body.sha256 == wanted:
            return body
        tried.append(f"{path} is of family '{body.family}', SHA-256 {body.sha256[:12]}...")
    raise OtherBody(
        f"made with the {gender} body model of family '{metadata.get('body_family', 'unknown')}', "
        f"SHA-256 {wanted[:12] or 'not recorded'}..., but {'; '.join(tried) or 'it is gone'}"
    )


def likely_paths(recorded: Iterable[str]) -> list[str]:
    """Those of the recorded paths where something lies, and the bundled body model."""
    paths = dict.fromkeys([*recorded, BUNDLED])
    return [path for path in paths if path == BUNDLED or os.path.exists(path)]


@lru_cache(maxsize=4)
def _load(path: str, gender: str) -> Body:
    """Rows are often taken one by one."""
    return load_body(path, gender)
