"""Sequences of 3DPW become crops, labels and keypoints on disk: planning and the DoFn."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import apache_beam as beam
import cv2
import fsspec
import numpy as np
import pyarrow as pa

from hierprob3d.configs.preprocessing import PreprocessConfig
from hierprob3d.model.body.mesh_body import Body, load_body
from hierprob3d.model.people.keypoint_estimators import (
    HRNetKeypoints,
    KeypointEstimator,
    MoveNetKeypoints,
)
from hierprob3d.model.people.person_detectors import whole_picture
from hierprob3d.model.picture.crops import BOX_SCALE_FACTOR
from hierprob3d.transforms.batch.isolation import Failure
from hierprob3d.transforms.batch.models import resolve_device, use_threads
from hierprob3d.transforms.inputs.items import Item
from hierprob3d.transforms.inputs.picture_files import read_picture
from hierprob3d.transforms.inputs.uris import absolute
from hierprob3d.transforms.store.output_folder import OutputFolder, part_name
from hierprob3d.transforms.tables.rows import errors_table
from hierprob3d.transforms.tables.schema import (
    STATUS_FAILED,
    STATUS_OK,
    errors_schema,
    frames_schema,
)

from .labels import MAX_MEGAPIXELS, row_id
from .pw3d import CROPS
from .pw3d_schema import label_schema
from .pw3d_sequences import (
    CROP_SIZE,
    FrameLabels,
    Pw3dSequence,
    body_gender,
    crop_name,
    crop_person,
    label_frames,
    picture_name,
    read_sequence,
)

_SEQUENCE = "sequence"
_LABELS = "labels"
_CROP = "crop"


@dataclass(frozen=True)
class PreprocessShard:
    """The unit of work, of retry and of commit: frames of one person of a sequence."""

    index: int
    uri: str
    """Sequence file."""
    person: int | None
    """None: the sequence could not be read when the run began."""
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """Part of the file names of what the shard writes."""
        return f"{self.index:05d}"


@dataclass(frozen=True, kw_only=True)
class PreprocessContext:
    """What every worker must know of the run."""

    run_id: str
    config: PreprocessConfig
    num_threads: int = 1


@dataclass(frozen=True)
class Row:
    """One finished frame: its labels by column name, its crop, and its picture's size."""

    item: Item
    labels: dict[str, object]
    crop: np.ndarray
    """(512, 512, 3) uint8 RGB."""
    size: tuple[int, int]
    """Height and width of the picture."""


def list_sequences(data: str, split: str) -> list[str]:
    """URIs of a split's sequence files, sorted.

    Raises:
        FileNotFoundError: there are none.
    """
    folder = f"{absolute(data).rstrip('/')}/sequenceFiles/{split}"
    fs, path = fsspec.core.url_to_fs(folder)
    found = sorted(name for name in fs.glob(f"{path}/*.pkl"))
    if not found:
        raise FileNotFoundError(f"there is no sequence file (*.pkl) in {folder}.")
    return [folder + "/" + name.rsplit("/", 1)[-1] for name in found]


def plan_shards(
    uris: Sequence[str], config: PreprocessConfig, done: Container[str]
) -> tuple[list[PreprocessShard], int]:
    """(shards of the frames that are not done, number of frames that are)."""
    shards: list[PreprocessShard] = []
    num_done, room = 0, config.limit
    for uri in uris:
        for person, items in _people(uri, config.split):
            new = [item for item in items if item.item_id not in done]
            num_done += len(items) - len(new)
            new = new[:room]
            room = None if room is None else room - len(new)
            for start in range(0, len(new), config.shard_size):
                members = tuple(new[start : start + config.shard_size])
                shards.append(PreprocessShard(len(shards), uri, person, members))
    return shards, num_done


def _people(uri: str, split: str) -> Iterator[tuple[int | None, list[Item]]]:
    """Each person of a sequence file with the valid frames; one item if it cannot be read."""
    file = uri.rsplit("/", 1)[-1]
    try:
        sequence = read_sequence(uri)
    except (ValueError, OSError):
        yield None, [Item(row_id("3dpw", split, file), f"sequenceFiles/{split}/{file}")]
        return
    for person, track in enumerate(sequence.people):
        yield (
            person,
            [
                Item(
                    row_id("3dpw", split, crop_name(sequence.name, frame, person)),
                    f"imageFiles/{sequence.name}/{picture_name(frame)}",
                    frame,
                )
                for frame in np.flatnonzero(track.valid).tolist()
            ],
        )


class Preprocess(beam.DoFn):
    """PreprocessShard -> number of finished frames; all is on disk before it is handed on."""

    def __init__(self, context: PreprocessContext) -> None:
        self.context = context

    def setup(self) -> None:
        """Loads models, once per process, and opens the output folder."""
        use_threads(self.context.num_threads)
        self.estimator = load_estimator(self.context.config)
        self.store = OutputFolder(self.context.config.output)
        self.lock = self.store.lock_for_worker()

    def teardown(self) -> None:
        """Lets go of the folder."""
        if self.lock is not None:
            self.lock.release()

    def process(self, shard: PreprocessShard) -> Iterator[int]:
        """Publishes crops, labels, errors and, as the mark of completion, frames."""
        start = time.perf_counter()
        rows, failures = preprocess_shard(shard, self.context.config)
        tables = {
            "people": self._labels(rows),
            "errors": errors_table(failures, errors_schema(), self.context.run_id),
            "frames": _frames(rows, failures, self.context.run_id, time.perf_counter() - start),
        }
        for row in rows:
            encoded = cv2.imencode(".png", cv2.cvtColor(row.crop, cv2.COLOR_RGB2BGR))[1]
            self.store.write(f"{CROPS}/{row.labels['imgname']}", bytes(encoded))
        for table, content in tables.items():
            self.store.write_table(part_name(table, self.context.run_id, shard.name), content)
        yield tables["frames"].num_rows

    def _labels(self, rows: Sequence[Row]) -> pa.Table:
        labels = [{**row.labels, "run_id": self.context.run_id} for row in rows]
        if self.estimator is not None and rows:
            for label, keypoints in zip(labels, crop_keypoints(self.estimator, rows), strict=True):
                label["keypoints"] = keypoints.reshape(-1)
        return pa.Table.from_pylist(labels, label_schema(self.estimator is not None))


def preprocess_shard(
    shard: PreprocessShard, config: PreprocessConfig
) -> tuple[list[Row], list[Failure]]:
    """Finished frames of a shard, and what kept the others from it."""
    try:
        sequence = _sequence(shard.uri)
    except (ValueError, OSError) as error:
        return [], [Failure(item, shard.person, _SEQUENCE, error) for item in shard.items]
    if shard.person is None:  # it could not be read before, but now it can: its frames are unknown
        again = ValueError(
            "the sequence was unreadable when the run began; --retry-failed reads it"
        )
        return [], [Failure(item, None, _SEQUENCE, again) for item in shard.items]
    frames = [item.frame_index for item in shard.items if item.frame_index is not None]
    try:
        body = cached_body(config.body_model, body_gender(sequence.people[shard.person]))
        labels = label_frames(sequence, shard.person, frames, body)
    except ValueError as error:
        return [], [Failure(item, shard.person, _LABELS, error) for item in shard.items]
    rows, failures = [], []
    for place, item in enumerate(shard.items):
        try:
            rows.append(_row(item, place, sequence, shard, labels, config))
        except (ValueError, OSError) as error:
            failures.append(Failure(item, shard.person, _CROP, error))
    return rows, failures


def crop_keypoints(estimator: KeypointEstimator, rows: Sequence[Row]) -> np.ndarray:
    """(rows, 17, 3) float32 keypoints of the persons that the crops are centred on."""
    crops = [row.crop for row in rows]
    people = [whole_picture(CROP_SIZE, CROP_SIZE)] * len(crops)
    return np.concatenate([found.keypoints for found in estimator.estimate_batch(crops, people)])


@cache
def load_estimator(config: PreprocessConfig) -> KeypointEstimator | None:
    """The keypoint model of a configuration, None where none is asked for."""
    if config.keypoints is None:
        return None
    device = resolve_device(config.device)
    if config.keypoints == "hrnet":
        assert config.keypoint_weights is not None  # checked by PreprocessConfig
        return HRNetKeypoints(config.keypoint_weights, device)
    return MoveNetKeypoints(config.keypoint_weights, device)


@lru_cache(maxsize=2)
def _sequence(uri: str) -> Pw3dSequence:
    """Shards of one sequence mostly come one after the other."""
    return read_sequence(uri)


@cache
def cached_body(path: str, gender: str) -> Body:
    """The body model, read once per process."""
    return load_body(path, gender)


def _row(
    item: Item,
    place: int,
    sequence: Pw3dSequence,
    shard: PreprocessShard,
    labels: FrameLabels,
    config: PreprocessConfig,
) -> Row:
    assert item.frame_index is not None and shard.person is not None  # as planned
    image = read_picture(f"{absolute(config.data).rstrip('/')}/{item.uri}", MAX_MEGAPIXELS)
    centre, side = labels.centre[place], labels.side[place]
    crop = crop_person(image, centre, side)
    extrinsics = sequence.extrinsics[item.frame_index]
    track = sequence.people[shard.person]
    columns = {
        "item_id": item.item_id,
        "uri": item.uri,
        "frame_index": item.frame_index,
        "person_index": shard.person,
        "sequence": sequence.name,
        "sequence_file": shard.uri.rsplit("/", 1)[-1],
        "imgname": crop_name(sequence.name, item.frame_index, shard.person),
        "gender": track.gender,
        "pose": labels.pose[place],
        "shape": track.betas,
        "center": centre,
        "wh": side,
        "bbox": labels.box[place],
        "crop": np.array([*centre, side * BOX_SCALE_FACTOR]),
        "translation": track.translation[item.frame_index],
        "camera_rotation": extrinsics[:3, :3].reshape(-1),
        "camera_translation": extrinsics[:3, 3],
        "camera_intrinsics": sequence.intrinsics.reshape(-1),
    }
    return Row(item, columns, crop, image.shape[:2])


def _frames(
    rows: Sequence[Row], failures: Sequence[Failure], run_id: str, seconds: float
) -> pa.Table:
    sizes: dict[str, tuple[int | None, int | None]] = {row.item.item_id: row.size for row in rows}
    items = [row.item for row in rows] + [failure.item for failure in failures]
    found = [item.item_id in sizes for item in items]
    columns = {
        "item_id": [item.item_id for item in items],
        "uri": [item.uri for item in items],
        "frame_index": [item.frame_index for item in items],
        "time_s": [None] * len(items),
        "width": [sizes.get(item.item_id, (None, None))[1] for item in items],
        "height": [sizes.get(item.item_id, (None, None))[0] for item in items],
        "status": [STATUS_OK if ok else STATUS_FAILED for ok in found],
        "num_people": [int(ok) for ok in found],
        "run_id": [run_id] * len(items),
        "seconds": [seconds / max(1, len(items))] * len(items),
    }
    return pa.table(columns, schema=frames_schema())
