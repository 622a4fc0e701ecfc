"""Which files are pictures and which are videos."""

from __future__ import annotations

from .frame_counts import FRAME_SUFFIXES, holds_frames
from .uris import open_uri, suffix

PICTURE_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".jif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif",
    ".tiff", ".gif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif", ".avifs", ".ppm",
    ".pgm", ".pbm", ".pnm", ".tga", ".qoi", ".psd", ".pcx", ".sgi",
)  # fmt: skip
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
"""Read where the extra `heic` is installed."""

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v",
    ".ts", ".mts", ".m2ts", ".m2t", ".vob", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv",
    ".rm", ".rmvb", ".mxf", ".dv", ".y4m", ".ivf", ".nut", ".mjpeg", ".mjpg", ".h264", ".264",
    ".avc", ".h265", ".265", ".hevc", ".obu",
)  # fmt: skip


def is_picture_kind(uri: str) -> bool:
    """Whether the extension is one of pictures that may hold several frames or pages."""
    return suffix(uri) in FRAME_SUFFIXES


def is_video(uri: str) -> bool:
    """Whether the file gives frames: a video by its extension, in any case, or an animated picture.

    Pictures of kinds that may be animated are looked into; one that cannot be is none here, who
    decodes it says why.
    """
    kind = suffix(uri)
    if kind in VIDEO_SUFFIXES:
        return True
    if kind not in FRAME_SUFFIXES:
        return False
    try:
        with open_uri(uri) as file:
            return holds_frames(file)
    except Exception:  # any store, any protocol
        return False
