"""The body model of stored rows is found by its hash, or it is said what was tried."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hierprob3d.model.body.mesh_body import load_body
from hierprob3d.model.estimate.recorded_body import OtherBody, find_body, likely_paths


def test_the_body_with_the_recorded_hash_is_taken(tmp_path: Path) -> None:
    female = load_body("open", "female")
    copy = shutil.copy(female.path, tmp_path / "body_female.npz")
    metadata = {"body_sha256": female.sha256, "body_gender": "female", "body_family": "openbody"}
    neutral = str(load_body("open").path)
    assert find_body(metadata, ["open"]).gender == "female"
    assert str(find_body(metadata, [copy, "open"]).path) == str(copy)
    with pytest.raises(OtherBody, match=f"female body.*SHA-256 {female.sha256[:12]}.*{neutral} is"):
        find_body(metadata, [neutral])
    with pytest.raises(OtherBody, match="but open is of family 'openbody', SHA-256 "):
        find_body({**metadata, "body_sha256": "f00"}, ["open"])
    with pytest.raises(FileNotFoundError, match="gone.npz does not exist"):
        find_body(metadata, ["gone.npz"])


def test_paths_where_nothing_lies_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "here.npz").touch()
    here = str(tmp_path / "here.npz")
    assert likely_paths(["/gone.npz", here, "open", here]) == [here, "open"]


def test_no_path_at_all() -> None:
    with pytest.raises(OtherBody, match="'unknown', SHA-256 not recorded..., but it is gone"):
        find_body({}, [])
