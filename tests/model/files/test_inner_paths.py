"""Names in files stay below their folder, whatever they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hierprob3d.model.files.inner_paths import (
    UnsafeName,
    file_name,
    path_below,
    relative_path,
    same_file_key,
)

LEAVING = [
    "..", "../x", "a/../../x", "a/..", "/etc/passwd", "//host/x", ".", "a/./b", "a//b", "a/", "",
    "..\\x", "C:\\x", "a\0b", "a\nb", "a\x7fb", "a\x85b", "http://host/x", "x::http://host",
    "a" * 256, "走" * 86, "\ud800", b"\xff\xfe", None, 5, 1.5, ["x"], np.arange(3),
]  # fmt: skip


@pytest.mark.parametrize("name", LEAVING, ids=lambda name: ascii(name)[:20])
def test_names_that_leave_the_folder_are_refused(name: Any) -> None:
    for function in (relative_path, file_name, lambda name: path_below("/root", name)):
        with pytest.raises(UnsafeName, match="is no name of a file") as caught:
            function(name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "name",
    ["a.png", "..a", "a..b", "S1/Walking 1.60457274/frame_01.jpg", "~", "走路.png", "a:b", " ",
     "%2e%2e", np.str_("a.png"), "a" * 255],
    ids=lambda name: ascii(str(name))[:20],
)  # fmt: skip
def test_plain_names_are_kept_as_they_are(name: str) -> None:
    assert path_below("/root", name) == f"/root/{name}"


def test_bytes_of_old_files_are_text() -> None:
    assert path_below("memory://root", np.bytes_("é.png".encode())) == "memory://root/é.png"


def test_a_single_name_has_no_folder() -> None:
    assert relative_path("walk/one") == "walk/one"
    with pytest.raises(UnsafeName, match="it has a folder"):
        file_name("walk/one")


def test_room_may_be_left_for_what_is_added_to_a_name() -> None:
    assert file_name("a" * 20, max_bytes=20)
    with pytest.raises(UnsafeName, match="longer than 20 bytes"):
        file_name("a" * 21, max_bytes=20)


def test_names_that_a_file_system_takes_for_one_are_known() -> None:
    assert same_file_key("Cafe\u0301") == same_file_key("CAF\u00c9") != same_file_key("cafe")
