"""The DoFns of `track`: parts of people to videos, videos to parts of tracks."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from hierprob3d.configs.tracking import TrackConfig
from hierprob3d.transforms.store.output_folder import TRACKS, OutputFolder, part_name
from hierprob3d.transforms.store.publishing_dofn import PublishingDoFn
from hierprob3d.transforms.tables.rows import concatenate
from hierprob3d.transforms.tables.track_schema import track_schema

from .track_rows import track_rows
from .tracks_store import people_parts
from .video_people import video_people

People = tuple[str, pa.Table]
"""A video and some of its people."""

COUNTS = "track_counts"
"""Key of a part's file metadata: its videos, tracks and people, as JSON."""

UNSURE = 0.5
"""Confidence below which a track is counted as unsure."""


@dataclass(frozen=True)
class TrackContext:
    """What workers need to know."""

    config: TrackConfig
    run_id: str
    num_groups: int
    """Parts that videos are shared out among: many short ones do not make as many files."""


class ListPeopleParts(beam.DoFn):
    """Folder -> the names of its people parts."""

    def process(self, folder: str) -> Iterator[str]:
        """Names, sorted."""
        yield from people_parts(OutputFolder(folder))


class ReadPeople(beam.DoFn):
    """Name of a people part -> its people by video, keyed by the part of tracks/ they go to."""

    def __init__(self, context: TrackContext) -> None:
        self.context = context

    def process(self, part: str) -> Iterator[tuple[int, People]]:
        """What is to be shuffled: boxes, keypoints and rotations."""
        store = OutputFolder(self.context.config.folder)
        for uri, people in video_people(store, part, self.context.config.refined):
            yield zlib.crc32(uri.encode()) % self.context.num_groups, (uri, people)


class FollowPeople(PublishingDoFn):
    """All people of some videos -> a part of tracks/."""

    def __init__(self, context: TrackContext) -> None:
        super().__init__(context.config.folder, context.run_id)
        self.context = context

    def process(self, group: tuple[int, Iterable[People]]) -> None:
        """Publishes the part."""
        number, pieces = group
        by_video: dict[str, list[pa.Table]] = {}
        for uri, people in pieces:
            by_video.setdefault(uri, []).append(people)
        config, tables = self.context.config, list[pa.Table]()
        for uri in sorted(by_video):
            people = pa.concat_tables(by_video.pop(uri)).combine_chunks()
            tables.append(track_rows(uri, people, config.max_gap, config.smoothing, self.run_id))
        schema = track_schema({COUNTS: json.dumps(_counts(tables))})
        name = part_name(TRACKS, self.run_id, f"{number:05d}")
        self.publisher.publish_part(name, concatenate(tables, schema))


def _counts(tables: list[pa.Table]) -> dict[str, int]:
    """Of the tracks of videos, one table each."""
    firsts = [table.filter(pc.field("gap_s").is_null()) for table in tables]
    interpolated = [pc.sum(table["interpolated"]).as_py() or 0 for table in tables]
    unsure = [pc.sum(pc.less(first["track_confidence"], UNSURE)).as_py() for first in firsts]
    return {
        "videos": len(tables),
        "tracks": sum(map(len, firsts)),
        "people": sum(map(len, tables)) - sum(interpolated),
        "interpolated": sum(interpolated),
        "unsure": sum(unsure),
    }
