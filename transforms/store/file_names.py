"""Names of files made from names of pictures: readable, short enough for any disk, and unique."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from hierprob3d.transforms.inputs.items import Item
from hierprob3d.transforms.inputs.uris import own_name

_MAX_BYTES = 80
"""Of the readable part: file systems take 255 in all, and some letters need four."""

_ID_LENGTH = 16
"""Of hexadecimal digits: among a million namesakes, two share them once in 37 million runs."""

_EARLIER_ID_LENGTH = 10
"""What earlier versions wrote."""

_PICTURE_NAME = re.compile(
    rf".*-(?P<id>[0-9a-f]{{{_ID_LENGTH}}}|[0-9a-f]{{{_EARLIER_ID_LENGTH}}})"
    r"-[a-z0-9-]+\.(?:jpg|png)"
)


def readable_stem(uri: str) -> str:
    """A picture's name without folder, extension and unusual characters, at most 80 bytes."""
    stem = re.sub(r"[^\w.-]+", "_", PurePosixPath(own_name(uri)).stem)
    return stem.encode("utf-8", errors="replace")[:_MAX_BYTES].decode("utf-8", errors="ignore")


def picture_name(item: Item, what: str, extension: str = "jpg") -> str:
    """Name of a drawn picture of an item; `what` is shown of it, such as person0-crop."""
    frame = "" if item.frame_index is None else f"-frame{item.frame_index:06d}"
    return f"{readable_stem(item.name)}{frame}-{short_id(item.item_id)}-{what}.{extension}"


def is_picture_of(name: str, ids: set[str]) -> bool:
    """Whether a file name is that of a drawn picture of one of the items, see `ids_in_names`."""
    match = _PICTURE_NAME.fullmatch(name)
    return match is not None and match["id"] in ids


def is_drawn_picture(name: str) -> bool:
    """Whether a file name is one that drawn pictures have."""
    return _PICTURE_NAME.fullmatch(name) is not None


def short_id(item_id: str) -> str:
    """The part of an item's id that names of files made of it hold."""
    return item_id[:_ID_LENGTH]


def ids_in_names(item_ids: Iterable[str]) -> set[str]:
    """What names of the items' pictures hold, also of those that earlier versions drew."""
    ids = list(item_ids)
    return {*map(short_id, ids), *(item_id[:_EARLIER_ID_LENGTH] for item_id in ids)}
