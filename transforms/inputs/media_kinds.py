"""Which files are pictures and which are videos."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from .frame_counts import FRAME_SUFFIXES, holds_frames
from .picture_formats import HEIC_PACKAGE
from .sources import in_groups
from .uris import filesystem, is_remote, open_uri, suffix

PICTURE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".jif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib",
    ".tif", ".tiff", ".gif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif", ".avifs",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi", ".psd", ".pcx", ".sgi",
)  # fmt: skip
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
"""Read where the extra `heic` is installed."""

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v",
    ".ts", ".mts", ".m2ts", ".m2t", ".vob", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv",
    ".rm", ".rmvb", ".mxf", ".dv", ".y4m", ".ivf", ".nut", ".mjpeg", ".mjpg", ".h264", ".264",
    ".avc", ".h265", ".265", ".hevc", ".obu", ".divx", ".ogm", ".amv",
)  # fmt: skip

_PEEKED_REMOTELY = (".gif", ".apng", ".avifs")
_PEEK_BYTES = 1 << 12
_PEEKING_THREADS = 16
_PEEKED_AT_ONCE = 4096


def is_video(uri: str) -> bool:
    """Whether the file gives frames: a video by its extension, in any case, or an animated picture.

    Pictures of kinds that may be animated or have pages are looked into; one that cannot be is
    none here, who decodes it says why. Of remote files only those are whose kind is mostly
    animated, by their first 4 KB: a request for each of a million PNGs is too much, and the rare
    animated one says in its row that frames were left out.
    """
    kind = suffix(uri)
    return kind in VIDEO_SUFFIXES or (_may_hold_frames(uri, kind) and _peek(uri))


def videos_among(uris: Iterable[str], is_known: Callable[[str], bool]) -> set[str]:
    """Those of the URIs that give frames, see `is_video`.

    Args:
        uris: Pictures and videos.
        is_known: Whether a URI is known to be a still picture; it is not looked into.
    """
    found = set[str]()
    with ThreadPoolExecutor(_PEEKING_THREADS) as pool:
        for some in in_groups(uris, _PEEKED_AT_ONCE):
            kinds = [(uri, suffix(uri)) for uri in some]
            found.update(uri for uri, kind in kinds if kind in VIDEO_SUFFIXES)
            unsure = [u for u, kind in kinds if _may_hold_frames(u, kind) and not is_known(u)]
            answers = zip(unsure, pool.map(_peek, unsure), strict=True)
            found.update(uri for uri, is_animated in answers if is_animated)
    return found


def read_suffixes() -> frozenset[str]:
    """Extensions of the pictures and videos that are read from folders and archives."""
    heic = HEIC_SUFFIXES if importlib.util.find_spec(HEIC_PACKAGE) else ()
    return frozenset(PICTURE_SUFFIXES + VIDEO_SUFFIXES + heic)


def is_picture_kind(uri: str) -> bool:
    """Whether the extension is one of pictures that may hold several frames or pages."""
    return suffix(uri) in FRAME_SUFFIXES


def _may_hold_frames(uri: str, kind: str) -> bool:
    return kind in (_PEEKED_REMOTELY if is_remote(uri) else FRAME_SUFFIXES)


def _peek(uri: str) -> bool:
    try:
        if is_remote(uri):
            fs, path = filesystem(uri)
            return holds_frames(io.BytesIO(fs.cat_file(path, start=0, end=_PEEK_BYTES)))
        with open_uri(uri) as file:
            return holds_frames(file)
    except Exception:  # any store, any protocol
        return False
