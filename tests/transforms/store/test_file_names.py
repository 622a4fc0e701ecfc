"""Whatever a picture is called, what is made of its name is a file of its own in its folder."""

from __future__ import annotations

import pytest

from hierprob3d.model.files.inner_paths import file_name
from hierprob3d.pipelines.export import source_name
from hierprob3d.transforms.inputs.items import frame_item, picture_item
from hierprob3d.transforms.store.file_names import is_drawn_picture, picture_name

HOSTILE = [
    "/a/../../etc/passwd", "/a/..", "/a/.png", "/a/" + "x" * 300 + ".png", "/a/" + "走" * 99, "/",
    "/a/b\\..\\c.png", "/a/new\nline.png", "/a/nul\0.png", "/a/$(rm).png", "/a/-rf.png",
    "s3://bucket/../x.png", "zip://../../x.png::/a/b.zip", "/a/bytes\udcff.png", "/a/C:x.png",
    "/a/ .png", "/a/\u202egnp.exe", "",
]  # fmt: skip


@pytest.mark.parametrize("uri", HOSTILE, ids=ascii)
def test_names_made_of_names_have_no_folder(uri: str) -> None:
    for item in (picture_item(uri), frame_item(uri, 3, 0.1)):
        name = picture_name(item, "person0-crop")
        assert file_name(name, max_bytes=200) == name and is_drawn_picture(name)
        assert file_name(source_name(item.name), max_bytes=200)


def test_names_that_differ_in_case_or_composition_have_files_of_their_own() -> None:
    uris = ["/a/one.png", "/a/ONE.png", "/a/One.PNG", "/a/caf\u00e9.png", "/a/cafe\u0301.png"]
    names = {picture_name(picture_item(uri), "crop").casefold() for uri in uris}
    assert len(names) == len({source_name(uri).casefold() for uri in uris}) == len(uris)
