"""Which files are pictures and which are videos."""

from __future__ import annotations

from .uris import suffix

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv",
)  # fmt: skip


def is_video(uri: str) -> bool:
    """Whether the extension is a video's, in any case."""
    return suffix(uri) in VIDEO_SUFFIXES
