"""Shards of 3DPW's sequences become crops, labels and keypoints on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, TypeVar, cast

import cv2
import numpy as np
import pyarrow as pa

from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.files.inner_paths import path_below
from hierprob3d.model.network.device import resolve_device
from hierprob3d.model.people.keypoint_estimators import KeypointEstimator
from hierprob3d.model.people.person_detectors import whole_picture
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR
from hierprob3d.transforms.batch.isolation import Failure, call_each, call_isolated, successes
from hierprob3d.transforms.batch.models import SETTINGS_KEPT, keypoint_estimator, use_threads
from hierprob3d.transforms.inputs.items import Item
from hierprob3d.transforms.inputs.picture_files import read_picture
from hierprob3d.transforms.inputs.uris import absolute
from hierprob3d.transforms.store.marks import begin_shard
from hierprob3d.transforms.store.plan import ShardRef
from hierprob3d.transforms.store.publishing_dofn import PublishingDoFn
from hierprob3d.transforms.tables.rows import errors_table, item_columns, table_of
from hierprob3d.transforms.tables.schema import (
    STATUS_FAILED,
    STATUS_OK,
    errors_schema,
    frames_schema,
)

from .labels import MAX_MEGAPIXELS
from .pw3d import CROPS
from .pw3d_frame_labels import CROP_SIZE, crop_person, label_frames
from .pw3d_plan import PreprocessShard
from .pw3d_schema import label_schema
from .pw3d_sequences import BadSequence, Pw3dSequence, body_gender, crop_name, read_sequence

_SEQUENCE = "sequence"
_LABELS = "labels"
_CROP = "crop"
_KEYPOINTS = "keypoints"

R = TypeVar("R")
Labels = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PreprocessContext:
    """What every worker must know of the run."""

    run_id: str
    config: PreprocessConfig
    num_threads: int = 1


@dataclass(frozen=True)
class FinishedFrame:
    """A frame's labels by column name, its crop, and its picture's size."""

    item: Item
    labels: Labels
    crop: np.ndarray
    """(512, 512, 3) uint8 RGB."""
    size: tuple[int, int]
    """Height and width of the picture."""


class Preprocess(PublishingDoFn):
    """ShardRef -> number of finished frames; all is on disk before it is handed on."""

    def __init__(self, context: PreprocessContext) -> None:
        super().__init__(context.config.output, context.run_id)
        self.context = context

    def setup(self) -> None:
        """Loads models, once per process, and opens the output folder."""
        use_threads(self.context.num_threads)
        self.estimator = load_estimator(self.context.config)
        super().setup()

    def process(self, ref: ShardRef) -> Iterator[int]:
        """Publishes crops, labels, errors and, as the mark of completion, frames."""
        start = time.perf_counter()
        run_id = self.context.run_id
        shard = PreprocessShard.of(begin_shard(self.store, ref, run_id))
        frames, failures = preprocess_shard(shard, self.context.config, self.estimator)
        tables = {
            "people": self._label_table(frames),
            "errors": errors_table(failures, errors_schema(), run_id),
            "frames": _frames_table(frames, failures, run_id, time.perf_counter() - start),
        }
        for frame in frames:
            encoded = cv2.imencode(".png", cv2.cvtColor(frame.crop, cv2.COLOR_RGB2BGR))[1]
            self.store.write(f"{CROPS}/{frame.labels['imgname']}", bytes(encoded))
        yield self.publish(tables, shard.name)

    def _label_table(self, frames: Sequence[FinishedFrame]) -> pa.Table:
        schema = label_schema(self.estimator is not None)
        labels = [{**frame.labels, "run_id": self.context.run_id} for frame in frames]
        return table_of({name: [label[name] for label in labels] for name in schema.names}, schema)


def preprocess_shard(
    shard: PreprocessShard, config: PreprocessConfig, estimator: KeypointEstimator | None
) -> tuple[list[FinishedFrame], list[Failure]]:
    """Finished frames of a shard, and what kept the others from it.

    Args:
        shard: frames of one person.
        config: where pictures and body models lie.
        estimator: finds the keypoints of each crop; None for labels without.
    """
    sequence: Pw3dSequence | Exception = BadSequence(shard.refusal)
    if shard.person is not None:
        [sequence] = call_each(_sequence, [shard.uri])
    if isinstance(sequence, Exception):
        return [], [Failure(item, shard.person, _SEQUENCE, sequence) for item in shard.items]
    return _finish_frames(sequence, shard, config, estimator)


def _finish_frames(
    sequence: Pw3dSequence,
    shard: PreprocessShard,
    config: PreprocessConfig,
    estimator: KeypointEstimator | None,
) -> tuple[list[FinishedFrame], list[Failure]]:
    """Labels, crops and keypoints, stage by stage; a frame that fails takes no other with it."""
    failures: list[Failure] = []

    def kept(stage: str, items: Sequence[Item], results: Sequence[R | Exception]) -> list[R]:
        return list(successes(stage, items, results, failures, shard.person).values())

    tried = call_each(_tried, shard.items)
    items = kept(_LABELS, shard.items, tried)
    labels = call_isolated(lambda some: _labels(some, sequence, shard, config), items)
    labelled = kept(_LABELS, items, labels)
    crops = call_each(lambda one: _with_crop(*one, config), labelled)
    frames = kept(_CROP, [item for item, _ in labelled], crops)
    if estimator is not None:
        found = call_isolated(lambda some: _with_keypoints(some, estimator), frames)
        frames = kept(_KEYPOINTS, [frame.item for frame in frames], found)
    return frames, failures


def _tried(item: Item) -> Item:
    """The item, unless it is not to be tried."""
    item.check_refusal()
    return item


@lru_cache(maxsize=SETTINGS_KEPT)
def load_estimator(config: PreprocessConfig) -> KeypointEstimator | None:
    """The keypoint model of a configuration, None where none is asked for."""
    if config.keypoints is None:
        return None
    device = resolve_device(config.device)
    return keypoint_estimator(config.keypoints, config.keypoint_weights, device)


@lru_cache(maxsize=2)
def _sequence(uri: str) -> Pw3dSequence:
    """Shards of one sequence mostly come one after the other."""
    return read_sequence(uri)


@cache
def cached_body(path: str, gender: str) -> Body:
    """The body model, read once per process."""
    return load_body(path, gender)


def _labels(
    items: Sequence[Item], sequence: Pw3dSequence, shard: PreprocessShard, config: PreprocessConfig
) -> list[tuple[Item, Labels]]:
    """Each frame with its labels."""
    assert shard.person is not None  # as planned
    track = sequence.people[shard.person]
    body = cached_body(config.body_model, body_gender(track))
    frames = [cast(int, item.frame_index) for item in items]
    found = label_frames(sequence, shard.person, frames, body)
    return [
        (
            item,
            {
                "item_id": item.item_id,
                "uri": item.uri,
                "frame_index": frame,
                "person_index": shard.person,
                "sequence": sequence.name,
                "sequence_file": shard.uri.rsplit("/", 1)[-1],
                "imgname": crop_name(sequence.name, frame, shard.person),
                "gender": track.gender,
                "pose": found.pose[place],
                "shape": track.betas,
                "center": found.centre[place],
                "wh": found.side[place],
                "bbox": found.box[place],
                "crop": np.array([*found.centre[place], found.side[place] * BOX_SCALE_FACTOR]),
                "translation": track.translation[frame],
                "camera_rotation": sequence.extrinsics[frame, :3, :3].reshape(-1),
                "camera_translation": sequence.extrinsics[frame, :3, 3],
                "camera_intrinsics": sequence.intrinsics.reshape(-1),
                "warning": sequence.warning,
            },
        )
        for place, (item, frame) in enumerate(zip(items, frames, strict=True))
    ]


def _with_crop(item: Item, labels: Labels, config: PreprocessConfig) -> FinishedFrame:
    """The frame with its crop, cut out of its picture."""
    path = path_below(absolute(config.data).rstrip("/"), item.uri)
    image = read_picture(path, MAX_MEGAPIXELS).image
    crop = crop_person(image, labels["center"], labels["wh"])
    return FinishedFrame(item, labels, crop, image.shape[:2])


def _with_keypoints(
    frames: Sequence[FinishedFrame], estimator: KeypointEstimator
) -> list[FinishedFrame]:
    """The frames with COCO keypoints (51,) of the persons that the crops are centred on."""
    people = [whole_picture(CROP_SIZE, CROP_SIZE)] * len(frames)
    found = estimator.estimate_batch([frame.crop for frame in frames], people)
    return [
        replace(frame, labels={**frame.labels, "keypoints": one.keypoints.reshape(-1)})
        for frame, one in zip(frames, found, strict=True)
    ]


def _frames_table(
    frames: Sequence[FinishedFrame], failures: Sequence[Failure], run_id: str, seconds: float
) -> pa.Table:
    sizes: dict[str, tuple[int | None, int | None]] = {f.item.item_id: f.size for f in frames}
    warnings = {frame.item.item_id: frame.labels["warning"] for frame in frames}
    items = [frame.item for frame in frames] + [failure.item for failure in failures]
    found = [item.item_id in sizes for item in items]
    columns = {
        **item_columns(items),
        "width": [sizes.get(item.item_id, (None, None))[1] for item in items],
        "height": [sizes.get(item.item_id, (None, None))[0] for item in items],
        "status": [STATUS_OK if ok else STATUS_FAILED for ok in found],
        "num_people": [int(ok) for ok in found],
        "run_id": [run_id] * len(items),
        "seconds": [seconds / max(1, len(items))] * len(items),
        "warning": [warnings.get(item.item_id) for item in items],
    }
    return table_of(columns, frames_schema(), nulls_for=len(items))
