"""Which files the inputs name."""

from __future__ import annotations

import functools
import http.server
import os
import sys
import threading
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierprob3d.transforms.inputs.folder_search import time_of_info, version_of_info
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.inputs.listing import Listing, list_inputs
from hierprob3d.transforms.inputs.media_kinds import is_video
from hierprob3d.transforms.inputs.uris import open_uri, suffix
from hierprob3d.transforms.inputs.videos import index_video
from tests.counted_store import register


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


def versions_of(listing: Listing) -> dict[str, str]:
    """Versions by URI, where they are known."""
    return {source.uri: source.version for source in listing.sources if source.version}


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
    drawn = "b-0123456789-crop.jpg"
    for name in ("a.png", "pictures/a.png", f"out/pictures/{drawn}", "out/runs/1.json"):
        fs.pipe_file(f"/in/{name}", b"")
    try:
        assert list_inputs(["memory://in"], leave_out="memory://in/out/").uris == [
            "memory:///in/a.png", "memory:///in/pictures/a.png"
        ]  # fmt: skip
        assert list_inputs(["memory://in"], leave_out="memory://in/out/").num_skipped == 0
        assert list_inputs(["memory:///in/"]).uris[1] == f"memory:///in/out/pictures/{drawn}"
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


def test_a_folder_that_may_not_be_read_costs_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, who may read all
    listing = list_inputs([str(folder)])
    assert names(listing.uris, folder) == ["[1] *.png", "a.jpeg", "b.JPG"]
    assert f"1 the folder {folder}/sub: Permission denied" in listing.skipped_text()
    (folder / "list.txt").write_text("sub\na.jpeg\n")
    assert names(list_inputs([str(folder / "list.txt")]).uris, folder) == ["a.jpeg"]
    with pytest.raises(ValueError, match=r"folder .*in/sub cannot be read \(Permission denied"):
        list_inputs([str(folder / "sub")])


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
    with pytest.raises(ValueError, match=r"cannot open s3://bucket/a.png: .*hierprob3d\[s3\]\)"):
        list_inputs(["s3://bucket/a.png"])


def test_the_users_own_pictures_below_the_output_are_read(folder: Path) -> None:
    own = ["frames/a.png", "people/b.jpg", "pictures/holiday.jpg"]
    ours = [
        "frames/part-1-00000.parquet", "pictures/b-frame000003-0123456789-person0-crop.jpg",
        "runs/1.json",
    ]  # fmt: skip
    for name in own + ours:
        path = folder / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    listing = list_inputs([str(folder / "out")], leave_out=str(folder / "out"))
    assert names(listing.uris, folder / "out") == own
    assert listing.num_skipped == 0


@pytest.mark.parametrize("place", ["", "sub/"])
def test_what_storage_boxes_put_there_is_left_out_by_name(place: str, folder: Path) -> None:
    for name in ("@eaDir/a.jpg", "__MACOSX/b.png", ".thumbnails/c.png", "#recycle/d/e.png",
                 "Thumbs.db"):  # fmt: skip
        path = folder / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for pattern in (str(folder), f"{folder}/**/*"):
        listing = list_inputs([pattern])
        assert len(listing.uris) == 6
        assert {"@eaDir", "__MACOSX", "#recycle", "Thumbs.db", ".md"} == set(listing.skipped)
    asked_for = list_inputs([f"{folder}/{place}@eaDir/*.jpg"])
    assert len(asked_for.uris) == 1 and not asked_for.skipped


def test_storage_boxes_names_in_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in ("a.png", "__MACOSX/b.png", "@eaDir/c/d.png"):
            archive.writestr(name, b"abc")
    listing = list_inputs([f"zip://::{tmp_path}/photos.zip"])
    assert listing.uris == [f"zip://a.png::{tmp_path}/photos.zip"]
    assert listing.skipped == {"__MACOSX": 1, "@eaDir": 1}
    assert versions_of(listing)[listing.uris[0]]


def test_what_is_skipped_is_counted_by_kind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.heic", "b.HEIC", "c.nef", "Makefile"):
        (folder / name).touch()
    assert len(list_inputs([str(folder)]).uris) == 8  # with the extra, HEIC is read
    monkeypatch.setattr("hierprob3d.transforms.inputs.media_kinds.HEIC_PACKAGE", "not_installed")
    assert list_inputs([str(folder)]).skipped_text() == (
        "2 .heic (pip install hierprob3d[heic]), 1 .md, 1 .nef, 1 without an extension"
    )


def test_kinds_that_folders_are_searched_for(tmp_path: Path) -> None:
    kinds = [".jfif", ".jpe", ".gif", ".jp2", ".avif", ".3gp", ".flv", ".mts", ".m2ts", ".h264",
             ".vob", ".apng", ".ppm", ".tga"]  # fmt: skip
    for kind in kinds:
        (tmp_path / f"a{kind}").touch()
    assert len(list_inputs([str(tmp_path)]).uris) == len(kinds)


def test_a_line_that_cannot_be_opened_costs_itself_only(folder: Path) -> None:
    (folder / "list.txt").write_text("a.jpeg\nnosuchproto://x/y.png\nzip://c.png::none.zip\n")
    listing = list_inputs([str(folder / "list.txt")])
    assert listing.uris[0] == str(folder / "a.jpeg")
    assert listing.uris[1] == "nosuchproto://x/y.png" and len(listing.uris) == 3
    for uri in listing.uris[1:]:
        with pytest.raises(OSError, match="nosuchproto|none.zip"), open_uri(uri):
            pass
    with pytest.raises(ValueError, match="cannot open nosuchproto://x/y.png"):
        list_inputs(["nosuchproto://x/y.png"])


def test_no_line_of_a_list_stops_the_others(folder: Path) -> None:
    random = np.random.default_rng(0)
    pieces = ["://", "::", "/", "~", "*", "[", "a", "\0", "é", "http", "zip", "memory", "file", ":",
              "@", "?", "#", " ", "..", ".png"]  # fmt: skip
    lines = ["".join(random.choice(pieces, 6)) for _ in range(300)]
    (folder / "list.txt").write_text("\n".join([*lines, "a.jpeg"]))
    listing = list_inputs([str(folder / "list.txt")])
    assert str(folder / "a.jpeg") in listing.uris and len(listing.uris) > 200
    for uri in listing.uris:
        is_video(uri)
        assert picture_item(uri).name


def test_versions_change_with_the_files(folder: Path) -> None:
    path = folder / "a.jpeg"
    (folder / "list.txt").write_text("a.jpeg\nnone.png\n")
    inputs = ([str(folder)], [str(path)], [f"{folder}/*.jpeg"], [str(folder / "list.txt")])
    before = [versions_of(list_inputs(names))[str(path)] for names in inputs]
    assert len(set(before)) == 1
    path.write_bytes(b"changed")
    assert {versions_of(list_inputs(names))[str(path)] for names in inputs}.isdisjoint(before)
    assert str(folder / "none.png") not in versions_of(list_inputs([str(folder / "list.txt")]))


def test_versions_of_stores_come_with_the_listing_or_when_asked_for(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/in/a.png", b"abc")
    (tmp_path / "list.txt").write_text("memory:///in/a.png\nmemory:///in/none.png\n")
    try:
        listed = versions_of(list_inputs(["memory://in"]))
        assert listed == versions_of(list_inputs(["memory://in/*.png"])) and len(listed) == 1
        assert versions_of(list_inputs([str(tmp_path / "list.txt")])) == {}
        assert versions_of(list_inputs([str(tmp_path / "list.txt")], check_sources=True)) == listed
    finally:
        fs.rm("/in", recursive=True)


def test_checksums_come_before_times() -> None:
    assert version_of_info({"ETag": '"abc"', "size": 3, "LastModified": "now"}) == "abc"
    assert version_of_info({"size": 3, "updated": "2026-01-01"}) == "3-2026-01-01"
    assert version_of_info({"size": 3}) is None


@pytest.mark.parametrize(
    ("info", "seconds"),
    [
        ({"mtime": 7.5, "created": 9.0}, 7.5),
        ({"LastModified": datetime(1970, 1, 1, 0, 1, tzinfo=UTC)}, 60.0),
        ({"updated": "1970-01-01T00:02:00Z"}, 120.0),
        ({"updated": "yesterday"}, None),
        ({"size": 3}, None),
    ],
)
def test_times_of_stores(info: dict[str, object], seconds: float | None) -> None:
    assert time_of_info(info) == seconds


def test_lists_of_web_addresses(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "a.png").write_bytes(b"abc")
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}/a.png"
        (tmp_path / "list.txt").write_text(uri + "\n")
        listing = list_inputs([str(tmp_path / "list.txt")])
        assert listing.uris == [uri]
        with open_uri(uri) as file:
            assert file.read() == b"abc"
        server.shutdown()


def test_lists_of_web_addresses_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    registry = sys.modules["fsspec.registry"]._registry
    for protocol in ("http", "https"):
        monkeypatch.delitem(registry, protocol, raising=False)
    (tmp_path / "list.txt").write_text("https://example.org/a.png\n")
    with pytest.raises(ValueError, match=r"example.org/a.png: .*pip install hierprob3d\[http\]"):
        list_inputs([str(tmp_path / "list.txt")])


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *args: object) -> None: ...


def test_folders_of_a_store_are_listed_a_thousand_names_a_request() -> None:
    store = register()
    for number in range(3000):
        store.objects[f"bucket/in/{number // 1000}/{number:04d}.jpg"] = b"12345"
    store.objects["bucket/in/2/.hidden/a.jpg"] = b""
    found = list_inputs(["counted://bucket/in"])
    assert found.uris == [f"counted://bucket/in/{n // 1000}/{n:04d}.jpg" for n in range(3000)]
    assert all(source.version for source in found.sources)
    assert store.requests["LIST"] < 10 and store.requests["HEAD"] == 1
    assert store.requests["GET"] == 0
