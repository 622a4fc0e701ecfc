"""What the commands that read the results of a prediction run can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .checks import check, check_above_zero, check_at_least, check_choices
from .option import Option
from .prediction import PICTURE_FORMATS, PICTURES

MESH_FORMATS = ("obj", "ply", "glb")
PARAMETER_FORMATS = {"smpl-npz": 24, "smplh-npz": 52}
"""Joints of a pose in each format; SMPL-H has 22 body joints and 30 of the hands."""
ANNOTATION_FORMATS = ("spin-npz",)

_FOLDER = Option(metavar="DIR", positional=True)


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """Counts, errors and timings of a prediction run, in the terminal; also of a killed one."""

    folder: Annotated[str, _FOLDER]
    """Output folder of a prediction run."""


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """Every picture that a prediction run could have drawn, from its tables and the inputs.

    As `predict --visualise` draws them, with the same samples; a picture that is gone is named, and
    its people stand on plain ground. Of a video, uncropped frames are one mp4.
    """

    folder: Annotated[str, _FOLDER]
    """Output folder of a prediction run."""

    output: Annotated[str | None, Option(metavar="DIR")] = None
    """Where the pictures go; DIR/pictures where it is not given."""

    visualise: Annotated[frozenset[str], Option(choices=PICTURES)] = frozenset({"uncropped"})
    """Pictures to draw, as of `predict`."""

    frames: bool = False
    """Also a picture of every frame of a video, not only the mp4, of kind uncropped."""

    uri: Annotated[str, Option(metavar="PATTERN")] = "*"
    """Only pictures and videos whose path matches; * and ? are wildcards."""

    picture_format: Annotated[str, Option(choices=PICTURE_FORMATS)] = "jpg"
    """Of the pictures drawn."""

    body_model: Annotated[str | None, Option(metavar="PATH")] = None
    """The body model of the run: SMPL file or folder; where the run found it if not given."""

    def __post_init__(self) -> None:
        check_choices(self)
        check(bool(self.visualise), "--visualise names no pictures")


@dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """A run's many small files joined into few large ones, sorted by picture, in a new folder.

    The folder of the run stays as it is. The new one appears whole or not at all, and is read, and
    gone on with, as any other; drawn pictures are not copied.
    """

    folder: Annotated[str, _FOLDER]
    """Output folder of a prediction run."""

    output: Annotated[str, Option(metavar="NEW")]
    """Folder of the joined run, which must not be there yet."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """One self-contained page of a run: people to sort, filter and turn, numbers, tracks, errors.

    It opens from the disk, and asks nothing of the network.
    """

    folder: Annotated[str, _FOLDER]
    """Output folder of a prediction run."""

    output: Annotated[str | None, Option(metavar="FILE")] = None
    """The page; DIR/report.html where it is not given."""

    people: int = 100
    """People of the gallery, in equal steps from the surest to the least sure, about 60 kB each; 0
    shows none, and needs no body model."""

    body_model: Annotated[str | None, Option(metavar="PATH")] = None
    """The body model of the run: SMPL file or folder; where the run found it if not given."""

    def __post_init__(self) -> None:
        check_at_least(self, 0, "--people")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Meshes, motions and parameters of a prediction run for other tools.

    obj, ply and glb hold one mesh per file, in metres, y up, facing +z as seen in the picture; of a
    track of a video (after `hierprob3d track`), glb holds one body that moves, smoothed. smpl-npz
    holds poses (N, 72), betas (10), trans (N, 3), gender and mocap_framerate in the layout of
    AMASS, one file per person, or per track of a video; smplh-npz the same with poses (N, 156),
    hands flat, as Blender's SMPL add-ons read them. spin-npz is one annotation file of all
    pictures, as SPIN's and its followers' trainings read it.
    """

    folder: Annotated[str, _FOLDER]
    """Output folder of a prediction run."""

    format: Annotated[str, Option(choices=(*MESH_FORMATS, *PARAMETER_FORMATS, *ANNOTATION_FORMATS))]
    """File format."""

    output: Annotated[str, Option(metavar="DIR")]
    """Folder of the files."""

    tracks: bool = True
    """Take every row by itself and as it was predicted, also where people were followed."""

    fps: Annotated[float | None, Option(metavar="X")] = None
    """Bodies per second of a motion, between frames where needed; otherwise as the video's frames
    were taken. Blender's SMPL add-ons refuse less than 30."""

    samples: Annotated[int, Option(metavar="K")] = 0
    """Also the first K samples of every person."""

    refined: bool = False
    """The bodies moved onto the keypoints, of a run with --refine, instead of the modes."""

    filter: Annotated[tuple[str, ...], Option(metavar="CONDITION", repeated=True)] = ()
    """Only people whose column is as said: COLUMN=PATTERN with wildcards * and ?, or a number's
    comparison, in quotes: 'quality>0.6', 'height_m<=1.7'. Any column of one value, and track_id,
    track_confidence and link_confidence after `hierprob3d track`; repeated, all must hold."""

    body_model: Annotated[str | None, Option(metavar="PATH")] = None
    """The body model of the run: SMPL file or folder; where the run found it if not given."""

    focal_length: Annotated[float | None, Option(metavar="PX")] = None
    """Focal length that sets the distance from the camera; otherwise the run's (focal_px)."""

    in_camera: bool = False
    """Move meshes to where the person stands before the camera, instead of the origin."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 0, "--samples")
        check_above_zero(self, "--focal-length", "--fps")
        check(
            not (self.refined and self.samples),
            "--refined and --samples exclude each other: samples go with the mode",
        )
