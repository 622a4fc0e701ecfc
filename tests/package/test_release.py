"""What is published says one version, and archives do not depend on when they were packed."""

from __future__ import annotations

import io
import os
import tarfile
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from tools.release import repack
from tools.smoke import EXTRAS

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_version_is_said_alike() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_the_oldest_constraints_are_the_lower_bounds_of_the_package() -> None:
    """What pyproject.toml admits is what `make smoke` tries."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in EXTRAS.split(",")]
    wanted = [Requirement(line) for line in sum(extras, project["dependencies"])]
    oldest, newest = (constraints(f"constraints-{name}.txt") for name in ("oldest", "newest"))
    bounds = {
        r.name: Version(spec.version)
        for r in wanted
        for spec in r.specifier
        if spec.operator == ">="
    }
    assert {name: oldest[name] for name in bounds} == bounds
    assert [r.name for r in wanted if newest[r.name] not in r.specifier] == []


def constraints(name: str) -> dict[str, Version]:
    """Version of each package in a file of constraints."""
    lines = [Requirement(line) for line in (REPOSITORY / name).read_text().splitlines()
             if not line.startswith("#")]  # fmt: skip
    return {line.name: Version(spec.version) for line in lines for spec in line.specifier}


def test_every_bundled_folder_has_its_terms() -> None:
    notice = (REPOSITORY / "NOTICE").read_text()
    assets = REPOSITORY / "model" / "assets"
    missing = [
        f"model/assets/{p.name}"
        for p in assets.iterdir()
        if p.is_dir() and f"assets/{p.name}" not in notice
    ]
    assert missing == []


def archive(path: Path, names: list[str], time: int) -> bytes:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.mtime, member.uname, member.size = time, f"user{time}", len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    os.utime(path, (time, time))
    repack(path, 1_700_000_000)
    return path.read_bytes()


def test_archives_of_two_checkouts_are_the_same_bytes(tmp_path: Path) -> None:
    first = archive(tmp_path / "a.tar.gz", ["x/b", "x/a"], 5)
    assert archive(tmp_path / "b.tar.gz", ["x/a", "x/b"], 9) == first
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        contents = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    assert contents == {"x/a": b"x/a", "x/b": b"x/b"}
