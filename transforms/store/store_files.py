"""Files of one folder, on this machine or in any store, each published whole."""

from __future__ import annotations

import os
import secrets
import tempfile

from hierprob3d.transforms.inputs.folder_search import time_of_info
from hierprob3d.transforms.inputs.uris import absolute, filesystem, is_remote

TEMPORARY_PREFIX = ".tmp-"
"""Of the names of files that are being written."""


class StoreFiles:
    """Reads, writes, lists and removes files by paths relative to a folder.

    Args:
        root: Local path or fsspec URI.
    """

    def __init__(self, root: str) -> None:
        self.root = absolute(root)
        self.is_local = not is_remote(self.root)
        self._fs, path = filesystem(self.root)
        self._path = path.rstrip("/")

    def has_folder(self, name: str = "") -> bool:
        """Whether there is such a sub-folder, or this folder itself."""
        return self._fs.isdir(self._full(name) if name else self._path)

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Publishes a file whole: a reader sees the old one, none, or all of the new one.

        Args:
            name: Where.
            data: What it holds.
            durable: Whether it must outlive a loss of power, for which disks take their time.
        """
        path = self._full(name)
        if not self.is_local:
            self._fs.pipe_file(path, data)
            return
        folder, base = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        temporary = _temporary(folder, base)
        with open(temporary, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)

    def read(self, name: str) -> bytes:
        """Contents of a file."""
        return self._fs.cat_file(self._full(name))

    def written_at(self, name: str) -> float | None:
        """When a file was written, in seconds since 1970 by the folder's clock; None without."""
        return time_of_info(self._fs.info(self._full(name)))

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        try:
            self._fs.rm_file(self._full(name))
        except FileNotFoundError:
            pass

    def names(self, folder: str, *prefixes: str) -> list[str]:
        """Base names in a sub-folder, sorted; all, or those that begin in one of these ways.

        A store that can is asked for those alone: of millions it names a thousand per request.
        """
        path = self._full(folder)
        try:
            if self.is_local:
                found = os.listdir(path)
            else:
                found = [n for prefix in prefixes or ("",) for n in self._fs.names(path, prefix)]
        except FileNotFoundError:
            return []
        return sorted(name for name in found if not prefixes or name.startswith(prefixes))

    def _full(self, name: str) -> str:
        return f"{self._path}/{name}"

    def temporary_file(self, name: str) -> str:
        """A local path to write a large file to, which `publish_file` then makes `name`."""
        if not self.is_local:
            handle, path = tempfile.mkstemp(prefix="hierprob3d-")
            os.close(handle)
            return path
        folder, base = os.path.split(self._full(name))
        os.makedirs(folder, exist_ok=True)
        return _temporary(folder, base)

    def publish_file(self, name: str, path: str) -> None:
        """Makes a file of `temporary_file` the file `name`, whole."""
        if self.is_local:
            os.replace(path, self._full(name))
            return
        self._fs.put_file(path, self._full(name))
        os.remove(path)


def _temporary(folder: str, base: str) -> str:
    """A path of this one write: threads share a process id, and so do containers."""
    return os.path.join(folder, f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{base}")
