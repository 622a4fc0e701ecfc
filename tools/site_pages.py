"""The pages of the site, made of those of docs/: `make docs` builds from them.

Pages of docs/ can be read as they are, on a forge or in an editor. Of two kinds the site shows
more: a page that only names a file of the repository becomes that file, and a list item that names
an object and links to its module becomes the object's documentation.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = {
    "changelog.md": Path("CHANGELOG.md"),
    "model_card.md": Path("model", "assets", "open_net", "MODEL_CARD.md"),
}
"""Pages that stand for a file of the repository."""

_OBJECT = re.compile(r"^- \[`([\w.]+)`\]\(\.\./[\w/]+\.py\)$", re.MULTILINE)


def make_pages(folder: Path, repository: Path = REPOSITORY) -> None:
    """Writes the pages and pictures of the site into a folder, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(repository / "docs", folder)
    for name, file in FILES.items():
        shutil.copyfile(repository / file, folder / name)
    api = folder / "api.md"
    api.write_text(_OBJECT.sub(r"::: \1\n", api.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Into the folder that is named, mkdocs.yml's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pages go")
    make_pages(parser.parse_args().folder)


if __name__ == "__main__":
    main()
