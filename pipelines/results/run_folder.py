"""A prediction run's folder as its readers see it: finished parts, manifests, and the body used.

A part counts once its frames/ file exists, the mark of a finished shard; people and errors of
unfinished shards are left out, and counted, so that killed and running runs can be read too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.store.output_folder import RUNS, TABLES, OutputFolder
from hierprob3d.transforms.tables.schema import errors_schema, frames_schema

TRACKS = "tracks"
"""Folder of the table that names people of videos over time, where there is one."""

_TRACK_COLUMNS = ("item_id", "person_index", "track_id")


@dataclass(frozen=True)
class PeoplePart:
    """The people of one finished shard."""

    name: str
    """people/part-<run>-<shard>.parquet."""
    table: pa.Table
    """One row per person."""
    metadata: dict[str, str]
    """File metadata: schema version, joint names, identity of the body model."""


class RunFolder:
    """Reader of a folder written by `hierprob3d predict`, local or on any fsspec file system.

    Args:
        folder: the --output of the run.

    Raises:
        UsageError: there is no such folder, or it holds no prediction run.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.store = OutputFolder(folder)
        if not self.store.has_folder():
            raise UsageError(f"there is no folder {folder}.")
        if not any(self.store.has_folder(name) for name in (*TABLES, RUNS)):
            raise UsageError(
                f"{folder} is not the output of a prediction run: it has none of the folders "
                f"{', '.join((*TABLES, RUNS))}."
            )
        self._finished = {_base(name) for name in self.store.parts("frames")}

    @property
    def unfinished_parts(self) -> list[str]:
        """Names of people and errors parts whose shard was not finished."""
        parts = self.store.parts("people") + self.store.parts("errors")
        return sorted(name for name in parts if _base(name) not in self._finished)

    def manifests(self) -> list[dict[str, Any]]:
        """The manifests of all runs that wrote here, in the order of their run ids.

        One that cannot be read says so itself: it has only `run_id` and `status`.
        """
        names = [name for name in self.store.names(RUNS) if _is_json(name)]
        return [self._manifest(name) for name in names]

    def _manifest(self, name: str) -> dict[str, Any]:
        try:
            manifest = json.loads(self.store.read(f"{RUNS}/{name}"))
            if isinstance(manifest, dict):
                return manifest
        except ValueError:
            pass
        damage = f"its manifest {RUNS}/{name} is damaged"
        return {"run_id": name.removesuffix(".json"), "status": damage}

    def frames(self) -> pa.Table:
        """Rows of all finished frames parts."""
        tables = [self.store.read_part(name) for name in self._finished_parts("frames")]
        return _concatenate(tables) if tables else frames_schema().empty_table()

    def errors(self) -> pa.Table:
        """Rows of all finished errors parts."""
        tables = [self.store.read_part(name) for name in self._finished_parts("errors")]
        return _concatenate(tables) if tables else errors_schema().empty_table()

    def people_parts(self, columns: Sequence[str] | None = None) -> Iterator[PeoplePart]:
        """The finished people parts one by one; parts of several runs may differ in columns.

        Args:
            columns: those to read, where the part has them; None reads all.
        """
        for name in self._finished_parts("people"):
            table = self.store.read_part(name, None if columns is None else list(columns))
            raw = table.schema.metadata or {}
            metadata = {key.decode(): value.decode() for key, value in raw.items()}
            yield PeoplePart(name, table, metadata)

    def people_schemas(self) -> Iterator[tuple[str, pa.Schema]]:
        """Name and schema of each finished people part; no row is read."""
        for name in self._finished_parts("people"):
            yield name, self.store.read_schema(name)

    def people(self, columns: Sequence[str]) -> pa.Table | None:
        """Some columns of all people; None where no person was found."""
        tables = [part.table for part in self.people_parts(columns)]
        return _concatenate(tables) if tables else None

    def track_ids(self) -> dict[tuple[str, int], int]:
        """Track of each person by item id and person index; empty where nothing was tracked."""
        tracks: dict[tuple[str, int], int] = {}
        for name in self.store.names(TRACKS):
            if name.endswith(".parquet") and not name.startswith("."):
                rows = self.store.read_part(f"{TRACKS}/{name}", list(_TRACK_COLUMNS)).to_pydict()
                keys = zip(rows["item_id"], rows["person_index"], strict=True)
                tracks |= zip(keys, rows["track_id"], strict=True)
        return tracks

    def _finished_parts(self, table: str) -> list[str]:
        return [name for name in self.store.parts(table) if _base(name) in self._finished]


def _base(name: str) -> str:
    """File name of a part, the same in all tables of its shard."""
    return name.rsplit("/", 1)[-1]


def _is_json(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _concatenate(tables: list[pa.Table]) -> pa.Table:
    """One table, null where a part lacks a column; the parts' differing metadata are dropped."""
    bare = [table.replace_schema_metadata() for table in tables]
    return pa.concat_tables(bare, promote_options="default")


class RecordedBodies:
    """Loads the body models that parts were made with, and refuses any other.

    Args:
        folder: the run's folder; its manifests say where the body models lay.
        path: body model that the user gave instead, or None.
    """

    def __init__(self, folder: RunFolder, path: str | None) -> None:
        self._folder = folder
        self._path = path
        self._bodies: dict[str, Body] = {}

    def of_part(self, part: PeoplePart) -> Body:
        """The body of a part.

        Raises:
            UsageError: no body model at hand is the recorded one.
        """
        wanted = part.metadata.get("body_sha256", "")
        if wanted not in self._bodies:
            self._bodies[wanted] = self._find(part, wanted)
        return self._bodies[wanted]

    def _find(self, part: PeoplePart, wanted: str) -> Body:
        gender = part.metadata.get("body_gender", "neutral")
        tried = []
        for path in self._candidates():
            body = load_body(path, gender)
            if body.sha256 == wanted:
                return body
            tried.append(f"{path} is of family '{body.family}', SHA-256 {body.sha256[:12]}...")
        family = part.metadata.get("body_family", "unknown")
        raise UsageError(
            f"{part.name} was made with the {gender} body model of family '{family}', SHA-256 "
            f"{wanted[:12] or 'not recorded'}..., but {'; '.join(tried) or 'it is gone'}: "
            "give the right file or folder with --body-model."
        )

    def _candidates(self) -> list[str]:
        """Where the body model may be: the given path, or those of the manifests still there."""
        if self._path is not None:
            return [self._path]
        configs = [manifest.get("config", {}) for manifest in self._folder.manifests()]
        paths = [config.get("models", {}).get("body_model", "open") for config in configs]
        return [path for path in dict.fromkeys([*paths, "open"])
                if path == "open" or os.path.exists(path)]  # fmt: skip
