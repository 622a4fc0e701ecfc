"""A prediction run's folder as its readers see it: finished parts, their rows, and manifests.

A part counts once its frames/ file exists, the mark of a finished shard; people and errors of
unfinished shards are left out, and counted, so that killed and running runs can be read too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.model.estimate.person_row import REFINED_COLUMNS, PersonRow
from hierprob3d.pipelines.command.usage import UsageError
from hierprob3d.transforms.store.output_folder import (
    COMPACTING,
    RUNS,
    TABLES,
    OutputFolder,
    run_of,
)
from hierprob3d.transforms.store.part_counts import PartCounts
from hierprob3d.transforms.tables.schema import (
    PeopleLayout,
    errors_schema,
    frames_schema,
    people_schema,
)
from hierprob3d.transforms.tables.track_schema import track_schema
from hierprob3d.transforms.tracking.tracks_store import track_parts

from .people_groups import PeopleGroup, by_track, wanted_columns, with_tracks
from .stored_columns import check_names, column_rows, concatenate

_TRACK_COLUMNS = ("item_id", "person_index", "track_id")


@dataclass(frozen=True)
class PeoplePart:
    """The people of one finished shard."""

    name: str
    """people/part-<run>-<shard>.parquet."""
    table: pa.Table
    """One row per person."""
    metadata: dict[str, str]
    """File metadata, see `schema.file_metadata`; what schema 1 did not record, from manifests."""

    @property
    def run_id(self) -> str:
        """The run that wrote it."""
        return run_of(self.name)

    def rows(self, numbers: Sequence[int] | None = None) -> list[PersonRow]:
        """The people with these numbers, or all; lists of numbers are float32 arrays."""
        table = self.table if numbers is None else self.table.take(list(numbers))
        columns = [column_rows(column) for column in table.columns]
        return [
            PersonRow(dict(zip(table.column_names, values, strict=True)), self.metadata)
            for values in zip(*columns, strict=True)
        ]


def read_run(folder: str | os.PathLike[str]) -> RunFolder:
    """The results of `hierprob3d predict` in a folder, also of killed runs and earlier versions.

        run = read_run("out")
        run.people(["uri", "pose_mode"])  # pyarrow.Table; also run.frames(), run.errors()
        for row in run.rows():
            vertices, joints = rebuild_samples(row)

    Args:
        folder: The --output of the run, local or on any fsspec file system.

    Raises:
        ValueError: There is no such folder, it holds no prediction run, a file in it is damaged,
            or a later version of this package wrote it.
    """
    return RunFolder(os.fspath(folder))


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
        if os.path.basename(COMPACTING) in self.store.names(RUNS):
            raise UsageError(
                f"{folder} is not whole: hierprob3d compact is writing it, or was stopped; then "
                "remove it and run that again."
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
        return list(self._manifests.values())

    def manifest(self, run_id: str) -> dict[str, Any]:
        """The manifest of a run; empty where there is none."""
        return self._manifests.get(run_id, {})

    @cached_property
    def _manifests(self) -> dict[str, dict[str, Any]]:
        """The manifests by run id."""
        names = [name for name in self.store.names(RUNS) if _is_json(name)]
        return {name.removesuffix(".json"): self._manifest(name) for name in names}

    def _manifest(self, name: str) -> dict[str, Any]:
        try:
            manifest = json.loads(self.store.read(f"{RUNS}/{name}"))
            if isinstance(manifest, dict):
                return manifest
        except ValueError:
            pass
        damage = f"its manifest {RUNS}/{name} is damaged"
        return {"run_id": name.removesuffix(".json"), "status": damage}

    def parts_of(self, table: str, columns: list[str]) -> Iterator[tuple[str, pa.Table]]:
        """Names of all finished parts of a table with some of their columns, one by one."""
        return self.store.read_parts(self._finished_parts(table), columns)

    def counts_of(self, table: str) -> Iterator[tuple[str, PartCounts]]:
        """Names of all finished parts of frames or errors, and what they count, one by one."""
        return self.store.read_counts(self._finished_parts(table))

    def frames(self) -> pa.Table:
        """Rows of all finished frames parts."""
        tables = [self.store.read_part(name) for name in self._finished_parts("frames")]
        return concatenate(tables) if tables else frames_schema().empty_table()

    def errors(self) -> pa.Table:
        """Rows of all finished errors parts."""
        tables = [self.store.read_part(name) for name in self._finished_parts("errors")]
        return concatenate(tables) if tables else errors_schema().empty_table()

    def people_parts(self, columns: Sequence[str] | None = None) -> Iterator[PeoplePart]:
        """The finished people parts one by one; parts of several runs may differ in columns.

        Args:
            columns: those to read, where the part has them; None reads all.
        """
        for name in self._finished_parts("people"):
            yield self._people_part(name, columns)

    def finished_parts(self) -> list[str]:
        """File names of the finished shards, the same in all tables."""
        return sorted(self._finished)

    def frames_part(self, shard: str) -> pa.Table:
        """The frames of a finished shard.

        Args:
            shard: File name, one of `finished_parts`.
        """
        return self.store.read_part(f"frames/{shard}")

    def people_part(self, shard: str, columns: Sequence[str] | None = None) -> PeoplePart | None:
        """The people of a finished shard, None where it has none.

        Args:
            shard: File name, one of `finished_parts`.
            columns: As of `people_parts`.
        """
        name = f"people/{shard}"
        return self._people_part(name, columns) if name in self._people_names else None

    @cached_property
    def _people_names(self) -> frozenset[str]:
        return frozenset(self._finished_parts("people"))

    def _people_part(self, name: str, columns: Sequence[str] | None) -> PeoplePart:
        table = self.store.read_part(name, None if columns is None else list(columns))
        return PeoplePart(name, table, self.metadata_of(name, table.schema))

    def metadata_of(self, name: str, schema: pa.Schema) -> dict[str, str]:
        """Metadata of a people part, see `PeoplePart`."""
        raw = schema.metadata or {}
        metadata = {key.decode(): value.decode() for key, value in raw.items()}
        return {**self._recorded(run_of(name)), **metadata}

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[PersonRow]:
        """All people one by one, with what `rebuild_mode` and `rebuild_samples` need to know.

        Args:
            columns: those to read; None reads all.
        """
        check_names(columns or ())
        for part in self.people_parts(columns):
            yield from part.rows()

    def people_schemas(self) -> Iterator[tuple[str, pa.Schema]]:
        """Name and schema of each finished people part; no row is read."""
        for name in self._finished_parts("people"):
            yield name, self.store.read_schema(name)

    def check_refined(self) -> None:
        """Raise UsageError unless all parts hold refined bodies."""
        for part, schema in self.people_schemas():
            missing = [name for name in REFINED_COLUMNS.values() if name not in schema.names]
            if missing:
                raise UsageError(
                    f"{part} has no column {missing[0]}: --refined needs a run of "
                    "`hierprob3d predict --refine`."
                )

    def people(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All people; without any, no rows of the columns that every run has.

        Args:
            columns: those to read, where the run has them; None reads all.
        """
        check_names(columns or ())
        tables = [part.table for part in self.people_parts(columns)]
        if tables:
            return concatenate(tables)
        nobody = people_schema(PeopleLayout(num_vertices=0, uncertainty=False)).empty_table()
        return (
            nobody
            if columns is None
            else nobody.select([name for name in columns if name in nobody.column_names])
        )

    def _recorded(self, run_id: str) -> dict[str, str]:
        """What a run's manifest says of what schema 1 did not write into the parts."""
        config = self.manifest(run_id).get("config", {})
        sampling, models = config.get("sampling", {}), config.get("models", {})
        recorded = {
            "num_samples": sampling.get("num_samples"),
            "paper_rule": sampling.get("paper_rule"),
            "body_model": models.get("body_model"),
        }
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in recorded.items()
            if value is not None
        }

    def track_ids(self) -> dict[tuple[str, int], int]:
        """Track of each person by item id and person index; empty where nothing was tracked.

        Rows between, of people who were not found, are left out.
        """
        tracks: dict[tuple[str, int], int] = {}
        for name in track_parts(self.store):
            rows = self.store.read_part(name, list(_TRACK_COLUMNS)).to_pydict()
            keys = zip(rows["item_id"], rows["person_index"], strict=True)
            of_keys = zip(keys, rows["track_id"], strict=True)
            tracks |= {key: track for key, track in of_keys if key[1] is not None}
        return tracks

    def tracks(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of tracks/, by video, track and frame; without any, an empty table.

        Those that are `interpolated`, in earlier versions none, are of nobody in people/.

        Args:
            columns: those to read, of `transforms.tables.track_schema`; None reads all.
        """
        wanted = None if columns is None else list(columns)
        tables = [self.store.read_part(name, wanted) for name in track_parts(self.store)]
        nobody = track_schema().empty_table()
        return concatenate(tables) if tables else nobody.select(wanted or nobody.column_names)

    def by_video(self, columns: Sequence[str] | None = None) -> Iterator[PeopleGroup]:
        """The people of each video, by its URI, with what tracks/ says of them.

            for video in run.by_video(["pose_mode", "track_id"]):
                poses = video.arrays()["pose_mode"]  # (N, 23, 3, 3)

        Args:
            columns: those to read of people/ and tracks/; None reads all.
        """
        schema = track_schema()
        check_names([name for name in columns or () if name not in schema.names])
        tracks = self.tracks(wanted_columns(columns, schema.names))
        shards: dict[str, list[str]] = {}
        for part in self.people_parts(["uri", "frame_index"]):
            of_videos = part.table.filter(pc.field("frame_index").is_valid())
            for uri in pc.unique(of_videos["uri"]).to_pylist():
                shards.setdefault(uri, []).append(part.name)
        for uri in sorted(shards):
            tables = [self._people_of(uri, name, columns) for name in shards[uri]]
            of_video = tracks.filter(pc.field("uri") == uri)
            yield PeopleGroup(uri, None, with_tracks(concatenate(tables), of_video))

    def by_track(self, columns: Sequence[str] | None = None) -> Iterator[PeopleGroup]:
        """The people of each track, in the order of videos; none where nobody was followed.

        Args:
            columns: as of `by_video`.
        """
        wanted = None if columns is None else [*columns, "track_id"]
        for video in self.by_video(wanted):
            yield from by_track(video)

    def _people_of(self, uri: str, part: str, columns: Sequence[str] | None) -> pa.Table:
        wanted = wanted_columns(columns, self.store.read_schema(part).names)
        return self.store.read_part(part, wanted).filter(pc.field("uri") == uri)

    def _finished_parts(self, table: str) -> list[str]:
        return [name for name in self.store.parts(table) if _base(name) in self._finished]


def _base(name: str) -> str:
    """File name of a part, the same in all tables of its shard."""
    return name.rsplit("/", 1)[-1]


def _is_json(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")
