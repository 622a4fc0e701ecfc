"""Wheel and sdist of the package, the same bytes from the same commit: `make dist`.

A wheel takes its times from SOURCE_DATE_EPOCH; setuptools' sdist keeps those of the checkout, so
its archive is packed once more.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def build(folder: Path) -> list[Path]:
    """The archives of the commit that is checked out, in a folder: sdist and wheel.

    Built in a copy: setuptools leaves files beside its sources, and takes those of an earlier
    build into the next wheel.

    Args:
        folder: made anew; it must not hold anything.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: move it away first")
    epoch = int(git("log", "-1", "--format=%ct"))
    where = repr(str(folder.resolve()))
    script = f"from setuptools.build_meta import build_{{}} as build; build({where})"
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    with tempfile.TemporaryDirectory() as copy:
        with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD"))) as commit:
            commit.extractall(copy, filter="tar")
        for kind in ("sdist", "wheel"):
            command = [sys.executable, "-W", "ignore", "-c", script.format(kind)]
            subprocess.run(
                command, cwd=copy, env=environment, check=True, stdout=subprocess.DEVNULL
            )
    for sdist in folder.glob("*.tar.gz"):
        repack(sdist, epoch)
    return sorted(folder.iterdir())


def git(*words: str) -> bytes:
    """What a command of git answers about this repository."""
    return subprocess.run(["git", *words], cwd=REPOSITORY, check=True, capture_output=True).stdout


def repack(path: Path, epoch: int) -> None:
    """Packs a .tar.gz anew: members by name, one time, no owner, one of two modes."""
    plain = io.BytesIO()
    with tarfile.open(path) as before, tarfile.open(fileobj=plain, mode="w") as after:
        for member in sorted(before.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            after.addfile(member, before.extractfile(member) if member.isreg() else None)
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=epoch) as packed:
        packed.write(plain.getbuffer())


def main() -> None:
    """Builds into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the archives go")
    folder = parser.parse_args().folder
    for path in build(folder):
        print(path)


if __name__ == "__main__":
    main()
