"""Which files the inputs name."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.items import frame_item, picture_item
from transforms.sources import is_video, list_inputs, open_uri


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.jpeg", "sub/c.TIFF", "sub/clip.MP4", "notes.md", ".hidden.png",
                 ".cache/d.png", "sub/e f ü 走.webp", "[1] *.png"):  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def names(uris: list[str], folder: Path) -> list[str]:
    return [os.path.relpath(uri, folder) for uri in uris]


def test_folder_is_searched_whole_and_sorted(folder: Path) -> None:
    listing = list_inputs([str(folder)])
    assert names(listing.uris, folder) == [
        "[1] *.png", "a.jpeg", "b.JPG", "sub/c.TIFF", "sub/clip.MP4", "sub/e f ü 走.webp"
    ]  # fmt: skip
    assert listing.num_skipped == 1  # notes.md; hidden files are not spoken of


def test_globs_and_literal_names_that_look_like_globs(folder: Path) -> None:
    assert names(list_inputs([f"{folder}/*.j*"]).uris, folder) == ["a.jpeg"]
    assert len(list_inputs([f"{folder}/**/*.*"]).uris) == 6
    assert names(list_inputs([f"{folder}/[1] *.png"]).uris, folder) == ["[1] *.png"]


def test_relative_and_absolute_paths_are_one_item(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    listing = list_inputs(["a.jpeg", "./a.jpeg", str(folder / "a.jpeg"), f"file://{folder}/a.jpeg"])
    assert listing.uris == [str(folder / "a.jpeg")]


def test_results_inside_the_inputs_are_left_out(folder: Path) -> None:
    listing = list_inputs([str(folder)], leave_out=str(folder / "sub"))
    assert not any("/sub/" in uri for uri in listing.uris)


def test_a_named_file_is_taken_whatever_its_extension(folder: Path) -> None:
    assert names(list_inputs([str(folder / "notes.md")]).uris, folder) == ["notes.md"]


@pytest.mark.parametrize("kind", ["txt", "csv", "parquet"])
def test_lists_count_from_their_own_folder(kind: str, folder: Path) -> None:
    uris = ["a.jpeg", "sub/c.TIFF", "/elsewhere/x.png", "memory://y.png"]
    path = folder / f"list.{kind}"
    if kind == "txt":
        path.write_text("# a comment\n\n" + "\n".join(uris) + "\n", encoding="utf-8-sig")
    elif kind == "csv":
        path.write_text("label,uri\n" + "".join(f'"x, y",{uri}\n' for uri in uris))
    else:
        pq.write_table(pa.table({"uri": uris, "label": range(4)}), path)
    assert list_inputs([str(path)]).uris == [
        str(folder / "a.jpeg"), str(folder / "sub/c.TIFF"), "/elsewhere/x.png", "memory://y.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("list.csv", b"url\na.jpg\n", "has no column 'uri'"), ("list.txt", b"\xff\xfe\x00", "UTF-8")],
)
def test_bad_lists(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list_inputs([str(tmp_path / name)])


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="input not found"):
        list_inputs([str(tmp_path / "no")])
    with pytest.raises(FileNotFoundError, match="no file matches"):
        list_inputs([str(tmp_path / "*.png")])
    with pytest.raises(ValueError, match="cannot open nowhere://x"):
        list_inputs(["nowhere://x"])


def test_other_filesystems() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/pictures/a.png", b"abc")
    fs.pipe_file("/pictures/b.txt", b"")
    try:
        assert list_inputs(["memory://pictures"]).uris == ["memory:///pictures/a.png"]
        assert list_inputs(["memory://pictures/*.png"]).uris == ["memory:///pictures/a.png"]
        with open_uri("memory://pictures/a.png") as file:
            assert file.read() == b"abc"
    finally:
        fs.rm("/pictures", recursive=True)


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.png")
    item = picture_item(path)
    assert item.name.endswith("\ufffd.png")
    assert len(item.item_id) == 40


def test_item_ids_are_sha1_of_the_uri() -> None:
    # `printf %s /a/b.jpg | sha1sum`
    assert picture_item("/a/b.jpg").item_id == "3fad9fed663d5a745560aeeb997ec5fcd13dbf20"
    assert frame_item("/a/b.mp4", 3, 0.1).item_id == picture_item("/a/b.mp4#frame=3").item_id


def test_videos_by_extension() -> None:
    assert is_video("a.MP4") and is_video("s3://x/y.webm") and not is_video("mp4.jpg")
