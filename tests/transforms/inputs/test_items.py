"""What items are called."""

from __future__ import annotations

import os
from pathlib import Path

from hierprob3d.transforms.inputs.items import frame_item, picture_item


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.png")
    item = picture_item(path)
    assert item.name.endswith("\ufffd.png")
    assert len(item.item_id) == 40


def test_item_ids_are_sha1_of_the_uri() -> None:
    # `printf %s /a/b.jpg | sha1sum`
    assert picture_item("/a/b.jpg").item_id == "3fad9fed663d5a745560aeeb997ec5fcd13dbf20"
    assert frame_item("/a/b.mp4", 3, 0.1).item_id == picture_item("/a/b.mp4#frame=3").item_id
