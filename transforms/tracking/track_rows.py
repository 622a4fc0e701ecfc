"""Rows of tracks/ from the people of a video: who is who, then the motion of each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hierprob3d.model.body.skeleton import BODY_PARTS, NUM_KEYPOINTS
from hierprob3d.model.motion.bridges import Bridges, bridges
from hierprob3d.model.motion.person_tracks import track_people
from hierprob3d.model.motion.sightings import Sightings
from hierprob3d.transforms.inputs.items import frame_item
from hierprob3d.transforms.tables.rows import Values, table_of
from hierprob3d.transforms.tables.track_schema import track_schema

from .track_motion import TrackMotion, track_betas
from .video_people import numbers


def track_rows(
    uri: str, people: pa.Table, max_gap_s: float, smoothing: float, run_id: str
) -> pa.Table:
    """Rows of tracks/ of one video, by track and frame.

    Args:
        uri: the video.
        people: all of them, under `VIDEO_PEOPLE`.
        max_gap_s: see `track_people`; in the gaps of a track that are no longer, there are rows
            for the frames between.
        smoothing: how much accelerations are held against a motion; 0 smooths nothing.
        run_id: of `track`.
    """
    people = people.sort_by([("frame_index", "ascending"), ("person_index", "ascending")])
    seen = _sightings(people)
    tracks = track_people(seen, max_gap_s)
    order = np.argsort(tracks.track_ids, kind="stable")
    people, track_ids = people.take(order), tracks.track_ids[order]
    frames, times = (people[name].to_numpy() for name in ("frame_index", "time_s"))
    missing = bridges(frames, times, track_ids, max_gap_s)
    rows = _Rows(len(people), missing)
    motion = TrackMotion.of(people, track_ids)
    motion = motion.joined(motion.between(missing), rows.order)
    before = tracks.previous[order]
    gaps = np.where(before >= 0, times - seen.times[before], np.nan)
    columns: dict[str, Values] = {
        "item_id": rows.strings(people["item_id"], _item_ids(uri, missing)),
        "uri": pa.repeat(uri, len(rows.order)),
        "frame_index": rows.values(frames, missing.frame_indices),
        "time_s": motion.times,
        "person_index": rows.values(people["person_index"].to_numpy(), np.nan),
        "interpolated": motion.is_seen == 0,
        "track_id": motion.tracks,
        "track_confidence": tracks.track_confidences[order][rows.last_seen],
        "link_confidence": tracks.link_confidences[order][rows.next_seen],
        "gap_s": rows.values(gaps, missing.times - times[missing.before]),
        "track_bbox": motion.bbox,
        "track_crop": motion.crop,
        "smoothed_betas": track_betas(people, track_ids)[motion.tracks],
        **motion.smoothed(smoothing),
        "run_id": pa.repeat(run_id, len(rows.order)),
    }
    return table_of(columns, track_schema())


class _Rows:
    """Where people seen and rows between stand: by track and time.

    Args:
        num_seen: people, by track and time.
        missing: rows between.
    """

    def __init__(self, num_seen: int, missing: Bridges) -> None:
        seen = np.arange(num_seen)
        last_seen = np.append(seen, missing.before)
        share = np.append(np.zeros(num_seen), missing.share)
        self.order = np.lexsort((share, last_seen))
        """Of the people and then the rows between."""
        self.last_seen = last_seen[self.order]
        """The row itself, or the person that was seen before it."""
        self.next_seen = np.append(seen, missing.before + 1)[self.order]
        """Likewise, after it."""

    def values(self, seen: np.ndarray, between: np.ndarray | float) -> np.ndarray:
        """A column, from its values of both."""
        num_between = len(self.order) - len(seen)
        return np.append(seen, np.broadcast_to(between, num_between))[self.order]

    def strings(self, seen: pa.ChunkedArray, between: list[str]) -> pa.Array:
        """A column of text likewise."""
        both = pa.chunked_array([*seen.chunks, pa.array(between, seen.type)])
        return both.take(pa.array(self.order)).combine_chunks()


def _item_ids(uri: str, missing: Bridges) -> list[str]:
    """Of the frames that rows between are about."""
    frames, inverse = np.unique(missing.frame_indices, return_inverse=True)
    ids = [frame_item(uri, frame, 0.0).item_id for frame in frames.tolist()]
    return [ids[number] for number in inverse]


def _sightings(people: pa.Table) -> Sightings:
    colours = numbers(people, "colours").reshape(-1, len(BODY_PARTS), 3)
    return Sightings(
        people["frame_index"].to_numpy(), people["time_s"].to_numpy(), numbers(people, "bbox"),
        numbers(people, "keypoints").reshape(-1, NUM_KEYPOINTS, 3),
        None if np.isnan(colours).all() else colours,
    )  # fmt: skip
