"""Tracks of a run's videos: one number per person over time, and the smoothed motion of each.

A second pass over the Parquet alone, grouped by video: no picture is decoded and no network run.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow.compute as pc

from hierprob3d.configs.tracking import TrackConfig
from hierprob3d.pipelines.command.usage import EXIT_DONE, EXIT_FAILURES, UsageError
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.results.run_folder import RunFolder
from hierprob3d.pipelines.run.absolute_paths import with_absolute_paths
from hierprob3d.pipelines.run.execution import attempt
from hierprob3d.pipelines.run.manifest import plain, versions
from hierprob3d.pipelines.run.run import Run
from hierprob3d.pipelines.run.worker_plan import plan_workers
from hierprob3d.transforms.store.output_folder import TRACKS
from hierprob3d.transforms.tracking.track_dofns import (
    COUNTS,
    UNSURE,
    FollowPeople,
    ListPeopleParts,
    ReadPeople,
    TrackContext,
)
from hierprob3d.transforms.tracking.tracks_store import (
    people_state,
    put_in_force,
    read_record,
    remove_others,
)

_PEOPLE_PER_PART = 50_000
"""Of a part of tracks/, on average, that is 50 MB; a video lies in one part."""

_PEOPLE_PER_ITEM = 5_000
"""That take as long as a picture of `predict`, by which processes are planned."""


def track(config: TrackConfig, beam_words: list[str] | None = None) -> int:
    """Writes tracks/; the exit code.

    Args:
        config: What to do.
        beam_words: Beam's own options, as on the command line.

    Raises:
        ValueError, OSError: Bad usage: there is no run, nobody in it is in a video, or the folder
            cannot be written to. Tracks of before are as they were.
    """
    words = list(beam_words or [])
    plan_workers(words, 0, on_gpu=False)  # wrong Beam options are told before anything is read
    config = with_absolute_paths(config)
    folder = RunFolder(config.folder)
    num_people = _num_people(folder)
    if config.refined:
        folder.check_refined()
    started = datetime.now(UTC)
    with Run(folder.store, config, words) as run:
        earlier = read_record(run.store)
        remove_others(run.store, earlier["run_id"] if earlier else None)  # what a killed one left
        context = TrackContext(config, run.id, num_people // _PEOPLE_PER_PART + 1)
        workers = run.workers(num_people // _PEOPLE_PER_ITEM)
        problem = attempt(lambda pipeline: build(pipeline, context), workers)
        if isinstance(problem, KeyboardInterrupt):
            raise problem
        if problem is not None:
            print(f"The tracks were not written: {problem}", file=sys.stderr)
            return EXIT_FAILURES
        record = _record(run, started)
        put_in_force(run.store, record)
    counts = record["counts"]
    print(
        f"{counted(counts['tracks'], 'track')} of {people(counts['people'])} in "
        f"{counted(counts['videos'], 'video')} written to {config.folder}/{TRACKS}; "
        f"{counts['unsure']} of them unsure (track_confidence below {UNSURE}); "
        f"{counted(counts['interpolated'], 'row')} between, where somebody was not found"
    )
    return EXIT_DONE


def build(pipeline: beam.Pipeline, context: TrackContext) -> None:
    """The dataflow: people of all shards, brought together by video, followed and smoothed."""
    _ = (
        pipeline
        | "Folder" >> beam.Create([context.config.folder], reshuffle=False)
        | "List parts" >> beam.ParDo(ListPeopleParts())
        | "Any worker" >> beam.Reshuffle()
        | "Read people" >> beam.ParDo(ReadPeople(context))
        | "By video" >> beam.GroupByKey()
        | "Follow people" >> beam.ParDo(FollowPeople(context))
    )


def _num_people(folder: RunFolder) -> int:
    """Number of people in videos; UsageError where there are none."""
    frames = folder.frames()
    of_videos = frames.filter(pc.field("frame_index").is_valid())
    if not len(of_videos):
        raise UsageError(f"{folder.folder} holds no frames of videos: nobody to follow.")
    num_people = pc.sum(of_videos["num_people"]).as_py()
    if not num_people:
        raise UsageError(f"{folder.folder} holds no people in its videos: nobody to follow.")
    return num_people


def _record(run: Run, started: datetime) -> dict[str, Any]:
    """What tracks/_tracks.json says."""
    counts: Counter[str] = Counter()
    for name in run.store.parts(TRACKS, run.id):
        metadata = run.store.read_schema(name).metadata
        counts.update(json.loads(metadata[COUNTS.encode()]))
    seconds = (datetime.now(UTC) - started).total_seconds()
    return {
        "run_id": run.id,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "command": sys.argv,
        "config": plain(run.config),
        "versions": versions(),
        "counts": dict(counts),
        "people_state": people_state(run.store),
    }
