"""Which files the inputs name."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierprob3d.transforms.inputs.items import frame_item, picture_item
from hierprob3d.transforms.inputs.listing import list_inputs
from hierprob3d.transforms.inputs.media_kinds import is_video
from hierprob3d.transforms.inputs.uris import open_uri, suffix
from hierprob3d.transforms.inputs.videos import index_video


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
    drawn = folder / "pictures" / "a-0123456789-uncropped.jpg"
    for path in (drawn, folder / "people" / "part-1-00000.parquet"):
        path.parent.mkdir()
        path.touch()
    (folder.parent / "linked").symlink_to(folder)
    (folder / "drawn.jpg").symlink_to(drawn)
    for output in (folder, folder.parent / "linked"):
        for source in (folder, folder.parent / "linked"):
            listing = list_inputs([str(source)], leave_out=str(output))
            assert (len(listing.uris), listing.num_skipped) == (6, 1)  # those beside stay
            listing = list_inputs([f"{source}/**/*.jpg"], leave_out=str(output))
            assert listing.uris == []
    assert list_inputs([str(drawn)], leave_out=str(folder)).uris == [str(drawn)]  # as named


def test_results_of_other_filesystems_are_left_out() -> None:
    fs = fsspec.filesystem("memory")
    for name in ("a.png", "pictures/a.png", "out/pictures/b.png"):
        fs.pipe_file(f"/in/{name}", b"")
    try:
        assert list_inputs(["memory://in"], leave_out="memory://in/out/").uris == [
            "memory:///in/a.png", "memory:///in/pictures/a.png"
        ]  # fmt: skip
        assert list_inputs(["memory:///in/"], leave_out="memory://in").num_skipped == 0
        assert "memory:///in/a.png" in list_inputs(["memory://in"], leave_out="memory://in").uris
    finally:
        fs.rm("/in", recursive=True)


def test_pipes_are_skipped_and_never_read(folder: Path) -> None:
    pipe = str(folder / "pipe.png")
    os.mkfifo(pipe)
    listing = list_inputs([str(folder)])
    assert pipe not in listing.uris and listing.num_skipped == 2
    assert list_inputs([f"{folder}/pipe*"]).num_skipped == 1
    assert list_inputs([pipe]).uris == [pipe]
    with pytest.raises(OSError, match="pipe.png is not a regular file"), open_uri(pipe):
        pass
    with pytest.raises(OSError, match="pipe.mp4 is not a regular file"):
        os.mkfifo(folder / "pipe.mp4")
        index_video(str(folder / "pipe.mp4"), 100)


def test_linked_folders_are_entered_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").touch()
    (tmp_path / "elsewhere" / "circle").symlink_to(folder)
    (folder / "a link").symlink_to(tmp_path / "elsewhere")
    (folder / "a second").symlink_to(folder / "sub")
    assert names(list_inputs([str(folder)]).uris, folder) == [
        "[1] *.png", "a link/far.png", "a.jpeg", "b.JPG", "sub/c.TIFF", "sub/clip.MP4",
        "sub/e f ü 走.webp",
    ]  # fmt: skip


def test_a_folder_that_may_not_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, who may read all
    with pytest.raises(ValueError, match=r"folder .*in/sub cannot be read \(Permission denied"):
        list_inputs([str(folder)])


def test_a_glob_counts_from_a_folder_with_glob_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run [1]").mkdir()
    (tmp_path / "run [1]" / "a.png").touch()
    monkeypatch.chdir(tmp_path / "run [1]")
    assert list_inputs(["*.png"]).uris == [str(tmp_path / "run [1]" / "a.png")]
    assert list_inputs(["./../*/*.png"]).uris == [str(tmp_path / "run [1]" / "a.png")]


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
        str(folder / "a.jpeg"), str(folder / "sub/c.TIFF"), "/elsewhere/x.png", "memory:///y.png"
    ]  # fmt: skip


def test_names_in_lists_are_literal(folder: Path) -> None:
    (folder / "list.txt").write_bytes("~/a.png\r\nb\u2028c.png \n sub\n*.png".encode())
    assert names(list_inputs([str(folder / "list.txt")]).uris, folder) == [
        "~/a.png", "b\u2028c.png", "sub/c.TIFF", "sub/clip.MP4", "sub/e f ü 走.webp", "*.png"
    ]  # fmt: skip
    (folder / "list.csv").write_text(" uri , x\n a.png ,1\n")
    assert names(list_inputs([str(folder / "list.csv")]).uris, folder) == ["a.png"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", b"url\na.jpg\n", "has no column 'uri'"),
        ("list.csv", b"uri\n" + b"x" * 200_000, r"line 2 of the list .*list.csv is no CSV"),
        ("list.txt", b"\xff\xfe\x00", "UTF-8"),
        ("list.parquet", b"PAR1 but not really", "list.parquet is not a whole Parquet file"),
    ],
)
def test_bad_lists(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list_inputs([str(tmp_path / name)])


def test_a_column_of_numbers_is_no_list(tmp_path: Path) -> None:
    pq.write_table(pa.table({"uri": [1, 2]}), tmp_path / "list.parquet")
    with pytest.raises(ValueError, match=r"list.parquet is int64, not text"):
        list_inputs([str(tmp_path / "list.parquet")])


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
        assert list_inputs(["memory://pictures/a.png"]).uris == ["memory:///pictures/a.png"]
        fs.pipe_file("/pictures/b.txt", b"a.png\nmemory://pictures/a.png\n/pictures/a.png")
        assert list_inputs(["memory://pictures/b.txt"]).uris == [
            "memory:///pictures/a.png", "/pictures/a.png"
        ]  # fmt: skip
        with open_uri("memory://pictures/a.png") as file:
            assert file.read() == b"abc"
    finally:
        fs.rm("/pictures", recursive=True)


def test_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("in/a.png", b"abc")
        archive.writestr("in/notes.md", b"")
        archive.writestr("b.png", b"")
    monkeypatch.chdir(tmp_path)
    uri = f"zip://in/a.png::{tmp_path}/photos.zip"
    for name in ("zip://in/a.png::photos.zip", "zip://in::photos.zip", "zip://in/*::photos.zip"):
        assert list_inputs([name]).uris == [uri]
    assert len(list_inputs(["zip://::photos.zip"]).uris) == 2
    assert suffix(uri) == ".png"
    with open_uri(uri) as file:
        assert file.read() == b"abc"
    (tmp_path / "broken.zip").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="cannot open zip://a.png::.*broken.zip"):
        list_inputs(["zip://a.png::broken.zip"])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ValueError, match=r"cannot open s3://bucket/a.png: .*\(pip install s3fs\)"):
        list_inputs(["s3://bucket/a.png"])


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
