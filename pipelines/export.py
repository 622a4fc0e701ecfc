"""Meshes, motions and parameters of a prediction run for other tools.

obj, ply and glb hold one mesh per file, in metres, y up, facing +z as seen in the picture; of a
track of a video, glb holds one body that moves. smpl-npz holds poses (N, 72), betas (10),
trans (N, 3), gender and mocap_framerate in the layout of AMASS, one file per person, or per track
of a video; smplh-npz the same with poses (N, 156), hands flat, as Blender's SMPL add-ons read them.
spin-npz is one annotation file of all pictures, as SPIN's and its followers' trainings read it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import torch
from torch import Tensor

from hierprob3d.configs.run_results import MESH_FORMATS, PARAMETER_FORMATS, ExportConfig
from hierprob3d.model.body.mesh_body import Body
from hierprob3d.model.estimate.person_row import REFINED_COLUMNS
from hierprob3d.model.estimate.reconstruction import (
    rebuild_mode,
    rebuild_samples,
    with_refined_body,
)
from hierprob3d.model.files.inner_paths import file_name, same_file_key
from hierprob3d.model.files.mesh_files import mesh_bytes
from hierprob3d.model.picture.drawing import vertex_normals
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.results.annotation_rows import annotation_npz, common_folder
from hierprob3d.pipelines.results.moving_bodies import moving_body_glb
from hierprob3d.pipelines.results.person_sequences import (
    PersonSequence,
    RowDict,
    person_sequence,
    sequence_key,
)
from hierprob3d.pipelines.results.picture_places import Places
from hierprob3d.pipelines.results.recorded_bodies import RecordedBodies
from hierprob3d.pipelines.results.recorded_threshold import keypoint_threshold
from hierprob3d.pipelines.results.row_filter import RowFilter, parse_filters
from hierprob3d.pipelines.results.run_folder import PeoplePart, RunFolder
from hierprob3d.pipelines.results.smpl_sequences import sequence_npz
from hierprob3d.pipelines.results.tracked_rows import TrackedRows
from hierprob3d.transforms.inputs.items import picture_item
from hierprob3d.transforms.store.file_names import readable_stem, short_id
from hierprob3d.transforms.store.output_folder import OutputFolder

ANNOTATIONS = "annotations.npz"
"""The file of spin-npz."""

_BATCH_SIZE = 16

_PARAMETER_COLUMNS = (
    "uri", "item_id", "frame_index", "person_index", "time_s", "crop", "camera", "focal_px",
    "pose_F", "pose_mode", "shape_mean", "shape_std", "global_rotmat", "global_F", "seed",
    *REFINED_COLUMNS.values(),
)  # fmt: skip


def run(config: ExportConfig) -> int:
    """Writes the files; 0, or UsageError where nothing can be written."""
    torch.set_num_threads(1)  # few bodies at once: threads cost more than they save
    folder = RunFolder(config.folder)
    selection = parse_filters(config.filter)
    if config.refined:
        folder.check_refined()
    tracks = TrackedRows(folder, config.refined) if config.tracks else None
    _check_tracks(folder, selection, tracks)
    export = _Export(folder, config, tracks)
    num_files = num_people = 0
    output, written = OutputFolder(config.output), set[str]()
    earlier = output.names("")
    for exported in export.files(_selected(folder, selection, tracks, config)):
        _note_name(exported.name, written)
        output.write(exported.name, exported.content)
        num_files, num_people = num_files + 1, num_people + exported.num_people
    if not num_files:
        raise UsageError(
            f"no person of {config.folder} matches {' '.join(config.filter)}." if config.filter
            else f"{config.folder} holds no people: nothing to export."
        )  # fmt: skip
    _tell_earlier(earlier, written, config.output)
    print(f"{counted(num_files, 'file')} of {people(num_people)} written to {config.output}")
    return EXIT_DONE


def _note_name(name: str, written: set[str]) -> None:
    """Remembers the name of a file; UsageError if it would take the place of an earlier one."""
    key = same_file_key(file_name(name))
    if key in written:
        raise UsageError(
            f"two people would be written to {name}, as their pictures' names are the same in the "
            "results; export them one by one, with --filter item_id=ID."
        )
    written.add(key)


def _tell_earlier(earlier: Sequence[str], written: set[str], output: str) -> None:
    """Says that files of another export, or whoever's, are still beside those written."""
    num_left = sum(same_file_key(name) not in written for name in earlier)
    if num_left:
        print(f"note: {counted(num_left, 'file')} that {output} held before "
              f"{'is' if num_left == 1 else 'are'} still there", file=sys.stderr)  # fmt: skip


@dataclass(frozen=True)
class ExportedFile:
    """One file to be written."""

    name: str
    content: bytes
    num_people: int
    """People rows that it is the first file of."""


@dataclass(frozen=True)
class _Selected:
    """The wanted people of one part."""

    part: PeoplePart
    rows: list[RowDict]


def _selected(
    folder: RunFolder,
    selection: Sequence[RowFilter],
    tracks: TrackedRows | None,
    config: ExportConfig,
) -> Iterator[_Selected]:
    """The people of each part that match all conditions; parts without any are left out."""
    asked = [condition.column for condition in selection if not condition.is_of_tracks]
    columns = [*_PARAMETER_COLUMNS, *(["keypoints"] if config.format == "spin-npz" else [])]
    for part in folder.people_parts([*columns, *asked]):
        _check_columns(part, asked)
        rows: list[RowDict] = list(part.rows())
        for row in rows:
            row |= tracks.columns(row) if tracks else {"track_id": None}
        wanted = [row for row in rows if all(term.matches(row) for term in selection)]
        if config.refined:
            wanted = [with_refined_body(row) for row in wanted]
        if wanted:
            yield _Selected(part, wanted)


def _check_columns(part: PeoplePart, asked: Sequence[str]) -> None:
    """Raise UsageError where people are to be chosen by a column that the run did not save."""
    for name in asked:
        if name not in part.table.column_names:
            raise UsageError(
                f"{part.name} has no column {name} to filter by: the run did not save it."
            )


def _check_tracks(
    folder: RunFolder, selection: Sequence[RowFilter], tracks: TrackedRows | None
) -> None:
    """Raise UsageError where tracks are asked for, and there are none."""
    for condition in selection:
        if condition.is_of_tracks and not tracks:
            raise UsageError(
                f"{folder.folder} has no tracks for --filter {condition.column}: run "
                f"`hierprob3d track {folder.folder}` first."
            )


class _Export:
    """Makes the files of a run.

    Args:
        folder: of the run.
        config: what is wanted.
        tracks: of the run's videos, where they are wanted.
    """

    def __init__(self, folder: RunFolder, config: ExportConfig, tracks: TrackedRows | None) -> None:
        self._config, self._tracks = config, tracks
        self._places = Places(folder, config.focal_length)
        self._bodies = RecordedBodies(folder, config.body_model)
        self._folder = folder

    def files(self, selected: Iterator[_Selected]) -> Iterator[ExportedFile]:
        """All files of the people selected."""
        if self._config.format in PARAMETER_FORMATS:
            return self._parameters(selected)
        if self._config.format in MESH_FORMATS:
            return self._meshes(selected)
        return self._annotations(selected)

    def _meshes(self, selected: Iterator[_Selected]) -> Iterator[ExportedFile]:
        """One file per person and mesh, or of a track one body that moves."""
        moving = self._config.format == "glb" and not self._config.samples
        followed = _Followed()
        for part in selected:
            body = self._bodies.of_part(part.part)
            is_moving = [moving and row["track_id"] is not None for row in part.rows]
            still = [row for row, moves in zip(part.rows, is_moving, strict=True) if not moves]
            followed.add(part.part, list(compress(part.rows, is_moving)))
            for start in range(0, len(still), _BATCH_SIZE):
                yield from self._stills(still[start : start + _BATCH_SIZE], body)
        for rows, first in followed.sequences():
            sequence, name = self._sequence(rows), _sequence_name(rows[0])
            body = self._bodies.of_part(first)
            content = moving_body_glb(sequence, body, name, self._config.in_camera)
            yield ExportedFile(f"{name}.glb", content, len(rows))

    def _stills(self, rows: list[RowDict], body: Body) -> Iterator[ExportedFile]:
        meshes = _meshes(rows, body, self._config.samples)
        if self._config.in_camera:
            meshes = meshes + self._places.translation(rows)[:, None, None]
        for row, person in zip(rows, meshes, strict=True):
            yield from _person_files(row, person, body, self._config.format)

    def _parameters(self, selected: Iterator[_Selected]) -> Iterator[ExportedFile]:
        """One npz per person of a picture, or per track of a video."""
        config, followed = self._config, _Followed()
        for part in selected:
            followed.add(part.part, part.rows)
        _tell_foreign_betas(followed.parts)
        for rows, first in followed.sequences():
            content = sequence_npz(
                self._sequence(rows), rows, self._places, PARAMETER_FORMATS[config.format],
                config.samples, first.metadata,
            )  # fmt: skip
            yield ExportedFile(f"{_sequence_name(rows[0])}.npz", content, len(rows))

    def _annotations(self, selected: Iterator[_Selected]) -> Iterator[ExportedFile]:
        """One file of all people of pictures."""
        rows, genders, thresholds = list[RowDict](), list[str](), list[float]()
        parts, num_left_out = list[PeoplePart](), 0
        for part in selected:
            of_pictures = [row for row in part.rows if row["frame_index"] is None]
            num_left_out += len(part.rows) - len(of_pictures)
            genders += [part.part.metadata.get("body_gender", "neutral")] * len(of_pictures)
            threshold = keypoint_threshold(self._folder.manifest(part.part.run_id))
            thresholds += [threshold] * len(of_pictures)
            rows += of_pictures
            parts.append(part.part)
        if num_left_out:
            left_out = (
                f"{people(num_left_out)} of video frames left out: annotation files name pictures"
            )
            if not rows:
                raise UsageError(f"{left_out}, and there is none.")
            print(f"note: {left_out}", file=sys.stderr)
        if rows:
            _tell_foreign_betas(parts)
            root = common_folder([row["uri"] for row in rows])
            print(f"imgname counts from {root or '/'}: trainings and --images are given that")
            content = annotation_npz(rows, genders, thresholds, root)
            yield ExportedFile(ANNOTATIONS, content, len(rows))

    def _sequence(self, rows: list[RowDict]) -> PersonSequence:
        """The motion of a person, smoothed where it was followed."""
        if self._tracks is None or rows[0]["track_id"] is None:
            return person_sequence(rows, self._places)
        bodies = [self._tracks.smoothed(row) for row in rows]
        return person_sequence(bodies, self._places, self._config.fps)


class _Followed:
    """Gathers rows of all parts by person."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], list[RowDict]] = {}
        self._firsts: dict[tuple[str, ...], PeoplePart] = {}
        self.parts = list[PeoplePart]()

    def add(self, part: PeoplePart, rows: Sequence[RowDict]) -> None:
        """Rows of a part."""
        self.parts.append(PeoplePart(part.name, part.table.schema.empty_table(), part.metadata))
        for row in rows:
            key = sequence_key(row)
            self._rows.setdefault(key, []).append(row)
            self._firsts.setdefault(key, self.parts[-1])

    def sequences(self) -> Iterator[tuple[list[RowDict], PeoplePart]]:
        """Rows of each person in order of time, and the part that the first came from."""
        for key, rows in self._rows.items():
            yield sorted(rows, key=lambda row: row["frame_index"] or 0), self._firsts[key]


def _tell_foreign_betas(parts: Sequence[PeoplePart]) -> None:
    if any(part.metadata.get("body_family") != "smpl" for part in parts):
        print("note: betas are OpenBody's; poses fit SMPL too, these betas do not: set them to 0")


def _meshes(rows: Sequence[RowDict], body: Body, num_samples: int) -> Tensor:
    """(P, 1 + K, V, 3): the mode, then the samples."""
    modes = rebuild_mode(rows, body)[0][:, None]
    if not num_samples:
        return modes
    return torch.cat([modes, rebuild_samples(rows, body, num_samples)[0]], dim=1)


def _person_files(row: RowDict, meshes: Tensor, body: Body, kind: str) -> Iterator[ExportedFile]:
    """Files of one person's meshes (1 + K, V, 3)."""
    names = ["", *(f"_sample{index:02d}" for index in range(len(meshes) - 1))]
    for name, mesh in zip(names, meshes, strict=True):
        normals = vertex_normals(mesh[None], body.faces)[0].numpy()
        content = mesh_bytes(kind, mesh.numpy(), body.faces.numpy(), normals)
        yield ExportedFile(f"{_person_name(row)}{name}.{kind}", content, num_people=int(not name))


def _person_name(row: RowDict) -> str:
    if row["frame_index"] is None:
        # The id is of the very bytes of the picture's name, where the uri may stand for several.
        return f"{_named(row['uri'], row['item_id'])}_person{row['person_index']}"
    return f"{source_name(row['uri'])}_frame{row['frame_index']:06d}_person{row['person_index']}"


def _sequence_name(row: RowDict) -> str:
    if row["track_id"] is None:
        return _person_name(row)
    return f"{source_name(row['uri'])}_track{row['track_id']}"


def source_name(uri: str) -> str:
    """A safe file name: the picture's own, and a piece of its id that tells namesakes apart."""
    return _named(uri, picture_item(uri).item_id)


def _named(uri: str, item_id: str) -> str:
    return f"{readable_stem(uri)}_{short_id(item_id)}"
