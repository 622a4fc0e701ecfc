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
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def build(source: Path, folder: Path, epoch: int) -> list[Path]:
    """The archives of a checkout in a folder: sdist and wheel.

    Args:
        source: the checkout; building leaves files there that git ignores.
        folder: made anew; it must not hold anything.
        epoch: seconds since 1970 that all members get.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: move it away first")
    where = repr(str(folder.resolve()))
    script = f"from setuptools.build_meta import build_{{}} as build; build({where})"
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    for kind in ("sdist", "wheel"):
        command = [sys.executable, "-c", script.format(kind)]
        subprocess.run(command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    for sdist in folder.glob("*.tar.gz"):
        repack(sdist, epoch)
    return sorted(folder.iterdir())


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
    log = ["git", "log", "-1", "--format=%ct"]
    epoch = int(subprocess.run(log, cwd=REPOSITORY, check=True, capture_output=True).stdout)
    for path in build(REPOSITORY, folder, epoch):
        print(path)


if __name__ == "__main__":
    main()
