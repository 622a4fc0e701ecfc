"""An object store for tests that counts what it is asked: `counted://bucket/name`, in memory.

Its requests are those of S3's back-end: a HEAD for what is known of an object, a LIST for each
thousand names, a GET for each range of bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractBufferedFile

NAMES_PER_LIST = 1000


class CountedFileSystem(AsyncFileSystem):
    """Objects by their paths; every instance has the same."""

    protocol = "counted"
    cachable = False
    objects: ClassVar[dict[str, bytes]] = {}
    requests: ClassVar[Counter[str]] = Counter()
    latency_s: ClassVar[float] = 0.0
    num_bytes: ClassVar[int] = 0
    """That GETs have sent."""

    async def _ask(self, kind: str, times: int = 1) -> None:
        self.requests[kind] += times
        if self.latency_s:
            await asyncio.sleep(times * self.latency_s)

    def _sent(self, data: bytes) -> bytes:
        type(self).num_bytes += len(data)
        return data

    def _data(self, path: str) -> bytes:
        path = self._strip_protocol(path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    async def _info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path).rstrip("/")
        await self._ask("HEAD")
        if path in self.objects:
            return self._entry(path)
        await self._ask("LIST")
        if any(name.startswith(f"{path}/") for name in self.objects):
            return {"name": path, "type": "directory", "size": 0}
        raise FileNotFoundError(path)

    def _entry(self, path: str) -> dict[str, Any]:
        data = self.objects[path]
        return {"name": path, "type": "file", "size": len(data), "ETag": f"{hash(data):x}"}

    async def _ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        place = self._strip_protocol(path).rstrip("/") + "/"
        names = {name.removeprefix(place) for name in self.objects if name.startswith(place)}
        files = [self._entry(place + name) for name in names if "/" not in name]
        folders = {name.partition("/")[0] for name in names if "/" in name}
        entries = files + [{"name": place + n, "type": "directory", "size": 0} for n in folders]
        await self._ask("LIST", 1 + len(entries) // NAMES_PER_LIST)
        if not names:
            raise FileNotFoundError(path)
        return entries if detail else [entry["name"] for entry in entries]

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **kwargs: Any,
    ) -> Any:
        start = self._strip_protocol(path).rstrip("/") + "/" + prefix
        names = sorted(name for name in self.objects if name.startswith(start))
        await self._ask("LIST", 1 + len(names) // NAMES_PER_LIST)
        return {name: self._entry(name) for name in names} if detail else names

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        await self._ask("GET")
        data = self._data(path)
        if not data and start is not None:
            raise OSError("InvalidRange: the requested range is not satisfiable")
        return self._sent(data[start:end])

    async def _pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        await self._ask("PUT")
        path = self._strip_protocol(path)
        if mode == "create" and path in self.objects:
            raise FileExistsError(path)
        self.objects[path] = bytes(value)

    async def _put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        await self._pipe_file(rpath, Path(lpath).read_bytes())

    async def _rm_file(self, path: str, **kwargs: Any) -> None:
        await self._ask("DELETE")
        self.objects.pop(self._strip_protocol(path), None)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> AbstractBufferedFile:
        kwargs.pop("autocommit", None)
        return _CountedFile(self, path, mode, **kwargs)


class _CountedFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.cat_file(self.path, start=start, end=end)


def register() -> type[CountedFileSystem]:
    """The store, empty."""
    fsspec.register_implementation("counted", CountedFileSystem, clobber=True)
    CountedFileSystem.objects.clear()
    CountedFileSystem.requests.clear()
    CountedFileSystem.num_bytes = 0
    return CountedFileSystem
