"""Meshes and parameters of a prediction run for other tools.

obj, ply and glb hold one mesh per file, in metres, y up, facing +z as seen in the picture.
smpl-npz holds poses (N, 72), betas (10), trans (N, 3), gender and mocap_framerate in the layout of
AMASS, one file per person, or per track of a video; smplh-npz the same with poses (N, 156), hands
flat, as Blender's SMPL add-ons read them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

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
from hierprob3d.model.files.mesh_files import glb_bytes, obj_bytes, ply_bytes
from hierprob3d.model.picture.drawing import vertex_normals
from hierprob3d.pipelines.command.usage import EXIT_DONE, UsageError
from hierprob3d.pipelines.command.wording import counted, people
from hierprob3d.pipelines.results.recorded_bodies import RecordedBodies
from hierprob3d.pipelines.results.run_folder import PeoplePart, RunFolder
from hierprob3d.pipelines.results.smpl_sequences import Places, RowDict, sequence_key, sequence_npz
from hierprob3d.transforms.store.file_names import readable_stem
from hierprob3d.transforms.store.output_folder import OutputFolder

FILTER_COLUMNS = ("uri", "item_id", "frame_index", "person_index", "track_id")
_BATCH_SIZE = 16
_HASH_LENGTH = 16
"""Of hexadecimal digits: among a million namesakes, two share them once in 37 million runs."""

_PARAMETER_COLUMNS = (
    *FILTER_COLUMNS, "time_s", "crop", "camera", "pose_F", "pose_mode", "shape_mean", "shape_std",
    "global_rotmat", "global_F", "seed", *REFINED_COLUMNS.values(),
)  # fmt: skip


def run(config: ExportConfig) -> int:
    """Writes the files; 0, or UsageError where nothing can be written."""
    torch.set_num_threads(1)  # few bodies at once: threads cost more than they save
    folder = RunFolder(config.folder)
    selection = [_parse_filter(text) for text in config.filter]
    _check_tracks(folder, selection)
    selected = _selected(folder, selection)
    if config.refined:
        folder.check_refined()
        selected = map(_with_refined_bodies, selected)
    export = _export_meshes if config.format in MESH_FORMATS else _export_parameters
    num_files = num_people = 0
    output, written = OutputFolder(config.output), set[str]()
    for exported in export(selected, Places(folder, config.focal_length), config):
        _note_name(exported.name, written)
        output.write(exported.name, exported.content)
        num_files, num_people = num_files + 1, num_people + exported.num_people
    if not num_files:
        raise UsageError(
            f"no person of {config.folder} matches {' '.join(config.filter)}." if config.filter
            else f"{config.folder} holds no people: nothing to export."
        )  # fmt: skip
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


def _parse_filter(text: str) -> tuple[str, str]:
    column, equals, pattern = text.partition("=")
    if not equals or column not in FILTER_COLUMNS:
        raise UsageError(
            f"--filter {text!r} is not COLUMN=PATTERN with a column of {', '.join(FILTER_COLUMNS)}."
        )
    return column, pattern


def _selected(folder: RunFolder, selection: Sequence[tuple[str, str]]) -> Iterator[_Selected]:
    """The people of each part that match all patterns; parts without any are left out."""
    tracks = folder.track_ids()
    for part in folder.people_parts(_PARAMETER_COLUMNS):
        rows: list[RowDict] = list(part.rows())
        for row in rows:
            row["track_id"] = tracks.get((row["item_id"], row["person_index"]))
        wanted = [row for row in rows if _matches(row, selection)]
        if wanted:
            yield _Selected(part, wanted)


def _check_tracks(folder: RunFolder, selection: Sequence[tuple[str, str]]) -> None:
    """Raise UsageError where tracks are asked for, and there are none."""
    if any(column == "track_id" for column, _ in selection) and not folder.track_ids():
        raise UsageError(
            f"{folder.folder} has no tracks for --filter track_id: run "
            f"`hierprob3d track {folder.folder}` first."
        )


def _with_refined_bodies(selected: _Selected) -> _Selected:
    return _Selected(selected.part, [with_refined_body(row) for row in selected.rows])


def _matches(row: RowDict, selection: Sequence[tuple[str, str]]) -> bool:
    return all(
        row[column] is not None and fnmatch(str(row[column]), pattern)
        for column, pattern in selection
    )


def _export_meshes(
    selected: Iterator[_Selected], places: Places, config: ExportConfig
) -> Iterator[ExportedFile]:
    """One file per person and mesh."""
    bodies = RecordedBodies(RunFolder(config.folder), config.body_model)
    for part in selected:
        body = bodies.of_part(part.part)
        for start in range(0, len(part.rows), _BATCH_SIZE):
            rows = part.rows[start : start + _BATCH_SIZE]
            meshes = _meshes(rows, body, config.samples)
            if config.in_camera:
                meshes = meshes + places.translation(rows)[:, None, None]
            for row, person in zip(rows, meshes, strict=True):
                yield from _person_files(row, person, body, config.format)


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
        content = _WRITERS[kind](mesh, body.faces)
        yield ExportedFile(f"{_person_name(row)}{name}.{kind}", content, num_people=int(not name))


def _glb(vertices: Tensor, faces: Tensor) -> bytes:
    normals = vertex_normals(vertices[None], faces)[0]
    return glb_bytes(vertices.numpy(), faces.numpy(), normals.numpy())


_WRITERS: dict[str, Callable[[Tensor, Tensor], bytes]] = {
    "obj": lambda vertices, faces: obj_bytes(vertices.numpy(), faces.numpy()),
    "ply": lambda vertices, faces: ply_bytes(vertices.numpy(), faces.numpy()),
    "glb": _glb,
}


def _export_parameters(
    selected: Iterator[_Selected], places: Places, config: ExportConfig
) -> Iterator[ExportedFile]:
    """One npz per person of a picture, or per track of a video."""
    sequences: dict[tuple[str, ...], list[RowDict]] = {}
    metadata: dict[tuple[str, ...], dict[str, str]] = {}
    for part in selected:
        for row in part.rows:
            key = sequence_key(row)
            sequences.setdefault(key, []).append(row)
            metadata.setdefault(key, part.part.metadata)
    if any(found.get("body_family") != "smpl" for found in metadata.values()):
        print("note: betas are OpenBody's; poses fit SMPL too, these betas do not: set them to 0")
    for key, rows in sequences.items():
        rows.sort(key=lambda row: row["frame_index"] or 0)
        content = sequence_npz(
            rows, places, PARAMETER_FORMATS[config.format], config.samples, metadata[key]
        )
        yield ExportedFile(f"{_sequence_name(rows[0])}.npz", content, len(rows))


def _person_name(row: RowDict) -> str:
    if row["frame_index"] is None:
        # Of the very bytes of the picture's name, where the uri may stand for several.
        return f"{_named(row['uri'], row['item_id'])}_person{row['person_index']}"
    return f"{source_name(row['uri'])}_frame{row['frame_index']:06d}_person{row['person_index']}"


def _sequence_name(row: RowDict) -> str:
    if row["track_id"] is None:
        return _person_name(row)
    return f"{source_name(row['uri'])}_track{row['track_id']}"


def source_name(uri: str) -> str:
    """A safe file name: the picture's own, and a piece of a hash that tells namesakes apart."""
    return _named(uri, uri)


def _named(uri: str, identity: str) -> str:
    digest = hashlib.sha1(identity.encode(), usedforsecurity=False).hexdigest()
    return f"{readable_stem(uri)}_{digest[:_HASH_LENGTH]}"
